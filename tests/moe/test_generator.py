"""The generator's network, held against transformers' own classes of the same architecture."""

import pytest
import torch
from torch import Tensor
from transformers import Glm4MoeConfig, Glm4MoeForCausalLM, LlamaConfig, LlamaForCausalLM

from moe.generator import GeneratorConfig, MixtureGenerator
from moe.upcycling import load_llama, most_needed, upcycle_generator

TINY = GeneratorConfig(
    vocabulary=60,
    hidden_width=48,
    layers=3,
    heads=6,
    key_value_heads=2,
    shared=32,
    experts=4,
    expert_width=16,
    top_k=2,
)
TOKENS = torch.randint(0, 60, (3, 17), generator=torch.Generator().manual_seed(1))


def llama(seed: int = 0, neurons: int = 96, **settings: float) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=60,
        hidden_size=48,
        intermediate_size=neurons,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        **settings,
    )
    return LlamaForCausalLM(config).eval()


def dense_of(model: LlamaForCausalLM, layers: list[int]) -> MixtureGenerator:
    config = GeneratorConfig(**{**vars(TINY), "layers": len(layers)}).dense_twin
    dense = MixtureGenerator(config)
    load_llama(dense, model.state_dict(), layers, range(60))
    return dense.eval()


@pytest.fixture(scope="module")
def dense() -> MixtureGenerator:
    return dense_of(llama(), [0, 1, 2])


def inputs() -> list[tuple[Tensor, Tensor]]:
    return [(TOKENS, torch.ones_like(TOKENS, dtype=torch.bool))]


@torch.inference_mode()
def test_the_dense_twin_gives_the_logits_of_the_llama_that_it_was_loaded_from(
    dense: MixtureGenerator,
) -> None:
    expected = llama()(input_ids=TOKENS).logits
    torch.testing.assert_close(dense.logits(dense(TOKENS)), expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_llama_can_be_loaded_without_some_of_its_layers() -> None:
    whole = llama()
    fewer = dense_of(whole, [0, 2])
    del whole.model.layers[1]
    for number, layer in enumerate(whole.model.layers):
        layer.self_attn.layer_idx = number
    expected = whole(input_ids=TOKENS, use_cache=False).logits
    torch.testing.assert_close(fewer.logits(fewer(TOKENS)), expected, atol=1e-5, rtol=1e-4)


def glm_weights(model: MixtureGenerator) -> dict[str, Tensor]:
    """The same weights under the names of transformers' mixture."""
    own = model.state_dict()
    state = {
        "model.embed_tokens.weight": own["words.weight"],
        "lm_head.weight": own["words.weight"],
        "model.norm.weight": own["norm.weight"],
    }
    config = model.config
    sizes = [config.hidden_width, *[config.key_value_heads * config.head_width] * 2]
    for layer in range(config.layers):
        source, target = f"blocks.{layer}", f"model.layers.{layer}"
        parts = own[f"{source}.attention.query_key_value.weight"].split(sizes)
        state |= {f"{target}.self_attn.{n}_proj.weight": w for n, w in zip("qkv", parts, strict=True)}
        state[f"{target}.self_attn.o_proj.weight"] = own[f"{source}.attention.output.weight"]
        state[f"{target}.input_layernorm.weight"] = own[f"{source}.attention_norm.weight"]
        state[f"{target}.post_attention_layernorm.weight"] = own[f"{source}.mixture_norm.weight"]
        state[f"{target}.mlp.gate.weight"] = own[f"{source}.mixture.router.affinity.weight"]
        state[f"{target}.mlp.gate.e_score_correction_bias"] = own[f"{source}.mixture.router.bias"]
        gate, up = (own[f"{source}.mixture.{n}.weight"] for n in ("gate", "up"))
        down = own[f"{source}.mixture.down.weight"]
        for name, weight in (("gate", gate), ("up", up)):
            state[f"{target}.mlp.shared_experts.{name}_proj.weight"] = weight[: config.shared]
        state[f"{target}.mlp.shared_experts.down_proj.weight"] = down[:, : config.shared]
        shape = (config.experts, config.expert_width)
        state[f"{target}.mlp.experts.gate_up_proj"] = torch.cat(
            [w[config.shared :].unflatten(0, shape) for w in (gate, up)], dim=1
        )
        state[f"{target}.mlp.experts.down_proj"] = (
            down[:, config.shared :].unflatten(1, shape).transpose(0, 1)
        )
    return state


@torch.inference_mode()
def test_the_mixture_gives_the_logits_of_transformers_own_mixture_with_the_same_weights(
    dense: MixtureGenerator,
) -> None:
    mixture = upcycle_generator(dense, TINY, inputs()).eval()
    for block in mixture.mixtures():
        block.router.affinity.weight.mul_(20)
        block.router.bias.uniform_(-0.3, 0.3)
    config = Glm4MoeConfig(
        vocab_size=60,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        moe_intermediate_size=16,
        n_routed_experts=4,
        n_shared_experts=2,
        num_experts_per_tok=2,
        routed_scaling_factor=2.0,
        norm_topk_prob=True,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=0,
        use_qk_norm=False,
        attention_bias=False,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0, "partial_rotary_factor": 1.0},
    )
    reference = Glm4MoeForCausalLM(config).eval()
    reference.load_state_dict(glm_weights(mixture))
    expected = reference(input_ids=TOKENS).logits
    torch.testing.assert_close(mixture.logits(mixture(TOKENS)), expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_padding_after_a_text_changes_nothing_before_it(dense: MixtureGenerator) -> None:
    mask = torch.ones_like(TOKENS, dtype=torch.bool)
    mask[:, 11:] = False
    torch.testing.assert_close(dense(TOKENS, mask)[:, :11], dense(TOKENS[:, :11]), atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_an_upcycled_generator_in_which_every_expert_acts_equals_the_dense_one(
    dense: MixtureGenerator,
) -> None:
    everyone = GeneratorConfig(**{**vars(TINY), "top_k": TINY.experts})
    mixture = upcycle_generator(dense, everyone, inputs())
    for block in mixture.mixtures():
        block.router.affinity.weight.zero_()
    torch.testing.assert_close(mixture.eval()(TOKENS), dense(TOKENS), atol=1e-5, rtol=1e-4)


def test_the_layers_that_are_needed_most_are_those_that_change_most(dense: MixtureGenerator) -> None:
    with torch.no_grad():
        idle = dense_of(llama(), [0, 1, 2])
        idle.blocks[1].attention.output.weight.zero_()
        idle.blocks[1].mixture.down.weight.zero_()
    assert most_needed(idle, inputs(), 2) == [0, 2]

"""An ONNX graph that grows operation by operation, and the session that runs it."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

EXTENSIONS = "com.microsoft"
"""ONNX Runtime's own operators: fused and quantised ones."""


class Graph:
    """Values go by name; every method that adds an operation returns the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []

    def take(self, name: str, kind: str, *shape: str | int) -> str:
        """An input; a dimension given by a word may differ from run to run."""
        element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self._inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def constant(self, value: Tensor | NDArray[Any] | int | float | list[int]) -> str:
        if isinstance(value, Tensor):
            value = value.detach().numpy()
        array = np.array(value, dtype=np.float32 if isinstance(value, float) else None, order="C")
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.add_several(1, operator, *inputs, domain=domain, **attributes)[0]

    def add_several(
        self, results: int, operator: str, *inputs: str, domain: str = "", **attributes: Any
    ) -> list[str]:
        names = [f"{operator}_{len(self._nodes)}_{number}" for number in range(results)]
        self._nodes.append(helper.make_node(operator, inputs, names, domain=domain, **attributes))
        return names

    def name(self, value: str, name: str) -> None:
        """Let a value be known by another name as well."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def session(self, result: str, threads: int) -> onnxruntime.InferenceSession:
        """Compiled to give the float value `result`."""
        output = helper.make_tensor_value_info(result, TensorProto.FLOAT, None)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(EXTENSIONS, 1)]
        graph = helper.make_graph(self._nodes, "engine", self._inputs, [output], self._constants)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

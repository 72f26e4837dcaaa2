"""Conversations with simulated customers as experience, with the rewards that the simulator knows."""

import numpy as np

from dialog_policy.env import DialogueEnv
from dialog_policy.experience import Experience
from dialog_policy.policy import Policy


def rehearse(env: DialogueEnv, policy: Policy, episodes: int, seed: int) -> Experience:
    place = {action: index for index, action in enumerate(env.actions)}
    observations, masks, probabilities = [], [], []
    actions: list[int] = []
    first: list[int] = []
    rewards: list[float] = []
    final: list[bool] = []
    for episode in range(episodes):
        env.begin(seed * 1_000_003 + episode)
        first.append(len(actions))
        done = False
        while not done:
            choice = policy.choose(env.state)
            observations.append(choice.observation)
            masks.append(choice.mask)
            probabilities.append(choice.probability)
            actions.append(place[choice.action])
            reward, done, _ = env.advance(actions[-1])
            rewards.append(reward)
            final.append(done)
    return Experience(
        observations=np.stack(observations),
        masks=np.stack(masks),
        actions=np.array(actions),
        probabilities=np.array(probabilities),
        rewards=np.array(rewards),
        final=np.array(final),
        first=np.array(first),
        explored=np.zeros(episodes, dtype=bool),
        weights=np.ones(episodes),
        conversations=(),
    )

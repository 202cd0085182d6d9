"""Fits at their start: what is checked, made into a problem, a generator, an optimizer and a rule that belong together."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

import torch
from numpy.typing import NDArray

from napari_convgen.core.fit.guides import Guides, Mixture
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.generators.taught import TaughtNetwork
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.non_local import Stage
from napari_convgen.core.pace import finish
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import SnapshotStore, Units
from napari_convgen.core.stopping import Members, StoppingRule
from napari_convgen.run.setup.build import build_optimizer, random_source
from napari_convgen.run.setup.groups import FrameGroup, fits_networks, n_steps_of
from napari_convgen.run.setup.guides import make_guides
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.setup.shared_network import SharedNetwork


def new_fit(
    prepared: Prepared,
    problem: Problem,
    image: ImageTensor,
    rule: StoppingRule,
    members: Members,
    seed: int,
    units: Units | None = None,
    max_bytes: float | None = None,
    has_health_check: bool = True,
    guides: Guides | None = None,
    network: SharedNetwork | None = None,
) -> Fit:
    """Return a fit at its start.

    Parameters
    ----------
    prepared
        The checked input.
    problem, image
        The problem, and its frame in the generator's units.
    rule, members
        The stopping rule, and the networks that are fitted together.
    seed
        Seed of the starts.
    units
        Units of the snapshots; the frame's own if ``None``.
    max_bytes
        Bound on the snapshots' memory; that of the configuration if ``None``.
    has_health_check
        True, the default, to end a fit that has collapsed.
    guides
        Estimates that the generator draws from and is mixed with; ``None``, the default, for none.
    network
        Network that the frame shares with others; ``None``, the default, for one of its own.
    """
    config = prepared.config
    generator = prepared.generator(image, members.starts, seed)
    memory = config.snapshot_memory * 2**20 if max_bytes is None else max_bytes
    store = SnapshotStore(memory, units or image, config.output)
    optimizer = build_optimizer(config, generator)
    mixture = None
    if guides is not None:
        share = config.generator.known_share if fits_networks(prepared) else 0.0
        mixture = Mixture(problem, guides, members, share, generator.usual_share)
    n_steps, averaging = n_steps_of(prepared), config.averaging
    if network is not None and network.has_learned:
        n_steps, averaging = min(n_steps, cast(TaughtNetwork, generator).n_orientations), 1.0
    fit = Fit(problem, generator, optimizer, rule, members, store, n_steps, averaging, has_health_check, mixture)
    if network is not None:
        network.give(generator)
    return fit


def denoising_fit(
    prepared: Prepared,
    image: ImageTensor,
    seed: int,
    n_seeds: int,
    max_bytes: float | None = None,
    has_guides: bool = True,
    units: Units | None = None,
) -> Fit:
    """Return the fit that denoises a frame; parameters are those of `start_fit`.

    With ``has_guides`` False the noisy image takes the place of the guides, for a measurement of time.
    """
    return finish(start_fit(prepared, image, seed, n_seeds, max_bytes, lambda: not has_guides, units))


def start_fit(
    prepared: Prepared,
    image: ImageTensor,
    seed: int,
    n_seeds: int,
    max_bytes: float | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    units: Units | None = None,
    number: int = 0,
    group: FrameGroup | None = None,
) -> Generator[Stage[NDArray[Any]], None, Fit]:
    """Make the guides, if the generator has any, and return the fit that denoises a frame with the configuration's rule.

    Parameters
    ----------
    prepared
        The checked input.
    image
        The frame in the generator's units.
    seed
        Seed of the starts and of the rule.
    n_seeds
        Number of members that are kept.
    max_bytes
        Bound on the snapshots' memory; that of the configuration if ``None``.
    is_stopping
        Function that tells whether to go on with the guides as far as they have come; by default they are finished.
    units
        Units of the snapshots; the frame's own if ``None``.
    number
        Number of the frame; default 0.
    group
        Frames that the guides are made from together; ``None``, the default, for the frame alone.
    """
    problem = prepared.problem(image)
    rule = prepared.rule(image, seed)
    source = random_source(seed, 0) if group is None else _group_source(group, seed, number)
    members = rule.members(problem, n_seeds, source)
    guides = network = None
    if group is not None:
        guides = yield from _joint_guides(prepared, group, number, seed, n_seeds, is_stopping)
        network = group.networks.get(seed)
    elif prepared.config.generator.has_guide:
        guides = yield from prepared.guides(problem, image, members, is_stopping)
    return new_fit(prepared, problem, image, rule, members, seed, units, max_bytes, guides=guides, network=network)


def _group_source(group: FrameGroup, seed: int, number: int) -> torch.Generator:
    """Return a source of chance for each frame of a group: neighbors that left out the same pixels could not help each other there.

    A copy must leave out the pixels that its original does, whose guides it has.
    """
    return random_source(seed, 0, group.number_in_stack(group.original(number)))


def _joint_guides(
    prepared: Prepared, group: FrameGroup, number: int, seed: int, n_seeds: int, is_stopping: Callable[[], bool]
) -> Generator[Stage[NDArray[Any]], None, Guides]:
    """Return the guides of a frame of a group; those of the frames after it are made with them, and kept until it is their turn."""
    if (number, seed) in group.guides:
        yield Stage(group.guides[number, seed].whole.cpu().numpy(), 1.0)
    else:
        turns = [number] if seed != prepared.config.seed else [each for each in group.numbers if each >= number]
        helpers = group.helpers
        places = {each: i for i, each in enumerate(helpers)}
        members = {}
        for each in dict.fromkeys(map(group.original, turns)):
            image = helpers[each]
            rule, problem = prepared.rule(image, seed), prepared.problem(image)
            members[places[each]] = rule.members(problem, n_seeds, _group_source(group, seed, each))
        images, layout, device = list(helpers.values()), prepared.layout, prepared.device
        made = yield from make_guides(images, members, layout, device, is_stopping, places[group.original(number)])
        group.guides.update({(each, seed): made[places[group.original(each)]] for each in turns})
        if prepared.config.generator.learns_from_guide:
            group.networks[seed] = SharedNetwork(torch.stack([each.members for each in made.values()], 1))
    return group.guides.pop((number, seed))

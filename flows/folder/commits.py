"""Names of the hub in a run's settings: each stands for the commit that it was when the run was made.

`run.json` keeps them under `hub`, name by name. What is loaded, is loaded before a run begins; whoever opens a model or
a task source later takes the settings as `pinned` gives them, and needs no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flows.folder.named_models import models_by_setting
from flows.runtime.console import Console, Transfers
from flows.runtime.messages import Report
from flows.runtime.worker import in_own_process
from mopd.hub.names import HubName, dataset_name, model_name
from mopd.hub.views import is_there, view_folder
from mopd.settings import Settings, parse_settings
from mopd.settings.tasks import FileTasks
from mopd.settings.tree import set_value
from mopd.tasks.hub import rows_file
from storage.runs import RunFolder

Commits = Mapping[str, str]
"""By name, without the part of a data set: the commit."""
HUB = "hub"
"""Of run.json."""


def commits_of(folder: RunFolder) -> Commits:
    """What the names in a run's settings stand for."""
    commits: Commits = folder.document.get(HUB, {})
    return commits


def pinned(settings: Settings, commits: Commits) -> Settings:
    """The settings with the commits of their names; names without one stay as they are."""
    names = {setting: name for setting, name in hub_names(settings, commits).items() if name.whole in commits}
    if not names:
        return settings
    tree = settings.model_dump(mode="json")
    for setting, name in names.items():
        set_value(tree, setting, str(name.at(commits[name.whole])))
    return parse_settings(tree)


def are_loaded(names: Mapping[str, HubName], commits: Commits) -> bool:
    """Whether everything that the names stand for is in the cache."""
    return all(_is_loaded(name) for name in _at_commits(names, commits).values())


def _at_commits(names: Mapping[str, HubName], commits: Commits) -> dict[str, HubName]:
    known = {setting: name.at(commits[name.whole]) for setting, name in names.items() if name.whole in commits}
    return {**names, **known}


def load_names(names: Mapping[str, HubName], commits: Commits, *, allow_pickled: bool = False) -> dict[str, str]:
    """The commits of all names, those that are known kept; what isn't in the cache is loaded, and said how far it is.

    `names`: by the setting that names them. Raises InputError.
    """
    wanted = _at_commits(names, commits)
    if not are_loaded(names, commits):
        transfers = Transfers(Console().say, quiet_seconds=Console.quiet_seconds())
        wanted = in_own_process(fetch_names, wanted, allow_pickled, report=transfers.report)
    return {name.whole: str(wanted[setting].commit) for setting, name in names.items()}


def fetch_names(_: None, report: Report, names: dict[str, HubName], allow_pickled: bool) -> dict[str, HubName]:
    """The same names, pinned, and their files loaded: data sets first, since models are larger."""
    from mopd.models.hub import fetch_model
    from mopd.tasks.hub import fetch_dataset

    commits: dict[str, str] = {}
    for setting, name in sorted(names.items(), key=lambda item: item[1].kind):
        name = name.at(commits[name.whole]) if name.whole in commits else name
        if name.kind == "dataset":
            fetched = fetch_dataset(name, setting, progress=report)
        else:
            fetched = fetch_model(name, setting, allow_pickled=allow_pickled, progress=report)
        commits[names[setting].whole] = str(fetched.commit)
        names = {**names, setting: fetched}
    return names


def _is_loaded(name: HubName) -> bool:
    """Whether nothing is left to be asked of the hub."""
    if name.commit is None:
        return False
    return rows_file(name).is_file() if name.kind == "dataset" else is_there(view_folder(name))


def hub_names(settings: Settings, known: Commits = MappingProxyType({})) -> dict[str, HubName]:
    """The names of the hub in the settings, by setting; `known` ones even where there is such a folder by now.

    Raises InputError for a malformed one.
    """
    tasks, models = settings.tasks, models_by_setting(settings)
    sources = {"tasks.train": tasks.train, "tasks.heldout": tasks.heldout} if isinstance(tasks, FileTasks) else {}
    names: dict[str, Any] = {setting: model_name(path, known) for setting, path in models.items()}
    names |= {setting: dataset_name(source) for setting, source in sources.items() if source}
    return {setting: name for setting, name in names.items() if name is not None}

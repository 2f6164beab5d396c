"""Questions of the server about the cases of all sites, and the answers that can be used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from fedcross.errors import ConfigError
from fedcross.federate.kits.site_settings import Figure
from fedcross.federate.remote.answers import parse_answer
from fedcross.federate.remote.bundle_job import FEWEST_SHARED_CASES
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.visits import HasTensors, SendTask, SiteError

_Form = TypeVar("_Form", bound=BaseModel)


@dataclass(frozen=True)
class Question:
    """A question to the sites.

    Attributes
    ----------
    content
        What a site sends; also its key in the answer.
    purpose
        What is made of it.
    figure
        Name of the content in ``share`` of the hospital's settings.
    """

    content: str
    purpose: str
    figure: Figure

    def ask(
        self,
        names: Sequence[str],
        sites: SendTask,
        task: str,
        form: type[_Form],
        log: Callable[[str], None],
        *,
        index: int = 0,
        sent: Mapping[str, HasTensors] | None = None,
    ) -> dict[str, _Form]:
        """Ask some sites at the same time; return the answers of the agreed form by site.

        A site that fails, does not share what is asked for, or has too few cases is left out, with a
        line in the log.

        Parameters
        ----------
        names
            Names of the sites.
        sites
            Connections to the sites.
        task, index
            See `SiteWork.do`.
        form
            The agreed form.
        log
            Receives lines.
        sent
            What each site receives; None for nothing.
        """

        def ask(name: str) -> _Form | None:
            try:
                answer = sites(name, task, [] if sent is None else [sent[name]], index)
            except SiteError as error:
                log(f"{error} The {self.purpose} is without this site.")
                return None
            if not answer["shared"]:
                log(
                    f"Site {name} does not share {self.content} of its cases; the {self.purpose} is "
                    f'without it. It shares them with "{self.figure}" in share of its local/site.toml.'
                )
                return None
            if answer[self.content] is None:
                log(
                    f"Site {name} has fewer than {FEWEST_SHARED_CASES} cases for this; the "
                    f"{self.purpose} is without it."
                )
                return None
            return parse_answer(
                name,
                answer[self.content],
                form,
                log,
                content=self.content,
                purpose=self.purpose,
            )

        answers = zip(names, map_in_parallel(ask, names), strict=True)
        return {name: answer for name, answer in answers if answer is not None}

    def require(self, answers: Mapping[str, object]) -> None:
        """Raise ConfigError if no site answered."""
        if not answers:
            raise ConfigError(
                f"No site sent {self.content} of its cases.",
                f"The reason of each site is above: fewer than {FEWEST_SHARED_CASES} cases, an error, "
                f'or "{self.figure}" is missing in share of its local/site.toml.',
            )

"""Build the site of the documentation into build/site.

    python docs/build_site.py

The pages are those of docs/ and the notebooks of docs/notebooks, which are run here. Links that leave
docs/ lead to the repository's page, and pictures from outside are copied. A dead link ends the build
with an error. Zensical (zensical.org) makes the site; mkdocstrings adds the docstrings.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SOURCE = ROOT / "build" / "site-source"
PAGES = SOURCE / "pages"
PICTURES = {".png", ".svg", ".jpg"}
LINK = re.compile(r'(?<=\]\()([^)\s]+)(?=\))|(?<=src=")([^"]+)(?=")')


def repository() -> str:
    """Return the address of the repository, as the configuration of the site has it."""
    with (DOCS / "zensical.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["repo_url"])


def rewrite(text: str, page: Path) -> str:
    """Return a page whose links out of docs/ lead to the repository, or to a copied picture.

    Parameters
    ----------
    text
        Markdown.
    page
        Path of the page, below docs/.
    """

    def replace(match: re.Match[str]) -> str:
        link = match[0]
        target, hash_sign, anchor = link.partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return link
        path = Path(os.path.normpath(page.parent / target))
        if path.is_relative_to(DOCS):
            return re.sub(r"\.ipynb$", ".md", link)  # a notebook becomes a page
        if path.suffix in PICTURES:
            return _copied(path, page)
        kind = "tree" if path.is_dir() else "blob"
        return f"{repository()}/{kind}/main/{path.relative_to(ROOT).as_posix()}{hash_sign}{anchor}"

    parts = re.split(r"(^```.*?^```)", text, flags=re.M | re.S)
    return "".join(
        part if place % 2 else LINK.sub(replace, part) for place, part in enumerate(parts)
    )


def _copied(picture: Path, page: Path) -> str:
    """Copy a picture into the folder of the site, and return its path relative to the page."""
    name = "-".join(picture.relative_to(ROOT).parts)
    (PAGES / "assets").mkdir(exist_ok=True)
    shutil.copyfile(picture, PAGES / "assets" / name)
    return os.path.relpath(PAGES / "assets" / name, PAGES / page.relative_to(DOCS).parent)


def stage() -> None:
    """Write pages, pictures and configuration into the folder that the site is built from."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    PAGES.mkdir(parents=True)
    (PAGES / "assets").mkdir()
    shutil.copyfile(
        ROOT / "Resources" / "FedCrossSlicer.png", PAGES / "assets" / "FedCrossSlicer.png"
    )
    for path in sorted(DOCS.rglob("*")):
        target = PAGES / path.relative_to(DOCS)
        if path.suffix == ".md":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(rewrite(path.read_text(encoding="utf-8"), path), encoding="utf-8")
        elif path.suffix in {*PICTURES, ".css"}:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    add_docstrings(PAGES / "reference" / "python.md")
    shutil.copyfile(DOCS / "zensical.toml", SOURCE / "zensical.toml")


def add_docstrings(page: Path) -> None:
    """Append a directive for each name in a page's table; mkdocstrings replaces it by the docstring."""
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)` \|", text, flags=re.M)
    directives = "\n".join(f"::: fedcross.{name}\n" for name in names)
    page.write_text(f"{text}\n{directives}", encoding="utf-8")


def run_notebooks(target: Path) -> None:
    """Run every notebook, and write it with its results as Markdown into a folder."""
    notebooks = sorted((DOCS / "notebooks").glob("*.ipynb"))
    command = [sys.executable, "-m", "nbconvert", "--to", "markdown", "--execute"]
    command.append("--ExecutePreprocessor.startup_timeout=300")  # of a busy machine
    subprocess.run([*command, "--output-dir", target, *notebooks], check=True)


def main() -> None:
    """Build the site."""
    stage()
    run_notebooks(PAGES / "notebooks")
    zensical = Path(sys.executable).with_name("zensical")
    config = str(SOURCE / "zensical.toml")
    done = subprocess.run([zensical, "build", "--strict", "--clean", "-f", config], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    site = ROOT / "build" / "site"
    shutil.rmtree(site, ignore_errors=True)
    (SOURCE / "site").rename(site)
    print(f"The site begins at {site / 'index.html'}")


if __name__ == "__main__":
    main()

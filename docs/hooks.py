"""Adds to the documentation site what the repository holds elsewhere: configs, results, benchmarks, notebooks.

Called by mkdocs (see mkdocs.yml). Nothing is copied by hand, so the pages can't fall behind the files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
MIRRORED = ("benchmarks/*.md", "CONTRIBUTING.md", *(f"results/**/*.{kind}" for kind in ("md", "png", "csv", "json")))
ORDER = (
    "stage",
    "experiment",
    "variant",
    "host",
    "data",
    "clip",
    "reader",
    "augment",
    "backbone",
    "method",
    "be",
    "loss",
)


def on_files(files: Files, config) -> Files:
    """Adds the mirrored files, the page of all configs and the notebooks to the files of the site."""
    from mkdocs.structure.files import File  # the functions below need no mkdocs

    for pattern in MIRRORED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix == ".md":
                text = mirrored(path.read_text(encoding="utf-8"))
                files.append(File.generated(config, name, content=text))
            else:
                files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "reference/configuration.md", content=configuration(ROOT / "configs")))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.py")):
        if (source := files.get_file_from_path(f"notebooks/{path.name}")) is not None:
            files.remove(source)
        page = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, page, content=notebook(path.read_text(encoding="utf-8"))))
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    """Leads the links of a page to the site's pages."""
    return led_to_site(markdown, depth=page.file.src_uri.count("/"))


def led_to_site(text: str, depth: int) -> str:
    """Returns a page of docs/ with its links as they are on the site, whose top docs/ is.

    In the repository results/ and configs/ lie beside docs/. depth: the number of folders that the page is in.
    """
    up = "../" * depth
    text = re.sub(rf"\]\({re.escape(up)}\.\./", f"]({up}", text)
    text = text.replace(f"]({up}configs/)", f"]({up}reference/configuration.md)")
    return re.sub(r"\]\(((?:\.\./)*notebooks/\w+)\.py\)", r"](\1.md)", text)


def mirrored(text: str) -> str:
    """Returns a page of the repository with its links into docs/ as they are on the site, whose top docs/ is."""
    return re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", text)


def configuration(folder: Path) -> str:
    """Returns the reference of all configuration groups as Markdown: what each choice is for, and its keys."""
    lines = [
        "# Configuration",
        "",
        "Every group is a folder of `configs/`, every choice a file in it: `python train.py <group>=<choice>`. A key",
        "of the chosen file is set with `<group>.<key>=<value>`. Values like `${clip.size}` are those of another key.",
        "",
        "Comments are those of the files; this page is made from them.",
        "",
    ]
    for name in ("train", "eval", "preview"):
        lines += [f"## `{name}.yaml`", "", "```yaml", (folder / f"{name}.yaml").read_text().strip(), "```", ""]
    groups = [path for path in folder.iterdir() if path.is_dir()]
    for group in sorted(groups, key=lambda path: (ORDER.index(path.name) if path.name in ORDER else 99, path.name)):
        lines += [f"## `{group.name}`", "", "| choice | what it is |", "|---|---|"]
        choices = sorted(group.glob("*.yaml"))
        public = [choice for choice in choices if not choice.stem.startswith("_")]
        lines += [f"| `{choice.stem}` | {_summary(choice.read_text())} |" for choice in public]
        lines += ["", f'??? note "The files of `{group.name}`"', ""]
        for choice in choices:
            text = choice.read_text().strip() or "{}"
            lines += [
                f"    `{choice.stem}`",
                "",
                "    ```yaml",
                *(f"    {line}" for line in text.splitlines()),
                "    ```",
                "",
            ]
    return "\n".join(lines)


def _summary(text: str) -> str:
    """Returns the first sentence of the comment at the head of a YAML file, safe inside a table."""
    comment = []
    for line in text.splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#"):
            break
        if line.startswith(("#   ", "#  python")):  # an example command
            break
        comment.append(line.lstrip("# ").strip())
    sentence = re.split(r"(?<=[.:]) (?=[A-Z0-9])", " ".join(comment), maxsplit=1)[0]
    return sentence.replace("|", "\\|").replace("<", "&lt;")


def notebook(text: str) -> str:
    """Returns a notebook in jupytext's percent format as Markdown: text cells as they are, code cells fenced."""
    parts = []
    for cell in re.split(r"^# %%", text, flags=re.M)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            parts.append(
                "\n".join(
                    line[2:] if line.startswith("# ") else line.removeprefix("#") for line in body.strip().splitlines()
                )
            )
        elif body.strip():
            parts.append(f"```python\n{body.strip()}\n```")
    return "\n\n".join(parts) + "\n"

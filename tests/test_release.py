"""What a release says of itself: one version everywhere, and a section of the changelog for it."""

import re

import server_middleware
import tracebench
from tools.house import ROOT


def test_both_packages_have_the_version_that_the_changelog_describes() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert released[0] == tracebench.__version__ == server_middleware.__version__


def test_every_part_of_the_documentation_is_within_reach_of_the_readme() -> None:
    """A page that no other page links to is read by nobody."""
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for link in re.findall(r"\]\(([^)#:]+\.md)[#)]", page.read_text()):
            linked = (page.parent / link).resolve()
            assert linked.exists(), f"{page.relative_to(ROOT)} links to {link}"
            if linked not in seen and linked not in waiting:
                waiting.append(linked)
    assert set((ROOT / "docs").glob("*.md")) <= seen

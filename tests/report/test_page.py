"""The page: self-contained, escaped, sourced, and there for a run at any point."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from posology.files import atomic_write_json
from posology.report.gather import gather
from posology.report.page import LARGEST, render, write_report
from posology.report.view import RunView
from posology.runs import STAGES, Run

from .example_card import HOSTILE
from .example_run import ALL, make_run

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Outline(HTMLParser):
    """Opened and closed tags must match; keeps ids, links, attributes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []
        self.links += [given["href"]] if given.get("href") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="session")
def outline(page: str) -> Outline:
    return Outline(page)


def test_tags_match_and_ids_are_unique(outline: Outline) -> None:
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))


def test_no_script_no_inline_style_no_address(page: str, outline: Outline) -> None:
    assert "script" not in outline.tags
    names = {name for name, _ in outline.attributes}
    assert "style" not in names and not [name for name in names if name.startswith("on")]
    assert not re.search(r"https?://|//[a-z]+\.|url\((?!#)|@import", page)
    assert all(link.startswith("#") for link in outline.links)


def test_every_link_leads_somewhere(outline: Outline) -> None:
    assert {link[1:] for link in outline.links} <= set(outline.ids)


def test_the_policy_allows_its_own_style_by_hash_and_nothing_else(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_what_a_model_wrote_is_text(page: str, outline: Outline) -> None:
    assert "<script" not in page and "<b onclick" not in page
    shown = HOSTILE.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert shown in "".join(outline.words)  # in the misses; escaped, not dropped


def test_a_hostile_run_name_config_and_manifest_stay_text(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",), graded=False)
    run.config_path.write_text("seed: 0\nnote: '</code></pre><script>x</script>'\n")
    run.update_manifest(status="<img src=x onerror=y>", machine={"system": "<svg onload=z>"})
    page = render(gather(run))
    assert Outline(page).open == []
    assert "<script" not in page and "<img" not in page and "<svg onload" not in page


def test_every_figure_carries_its_source(page: str) -> None:
    figures = re.findall(r"<data [^>]*>", page)
    assert len(figures) > 300
    assert all(re.search(r'title="[^"]+ · [^"]+"', figure) for figure in figures)


def test_sources_list_every_file_and_key_that_was_cited(page: str, view: RunView) -> None:
    cited = set(re.findall(r'<a class="cite"[^>]*title="([^"·]+) ·', page))
    listed = set(re.findall(r'<li id="source-\d+" value="\d+"><code>([^<]+)</code>', page))
    assert cited <= listed
    assert listed <= {file.name for file in view.files}


@pytest.mark.parametrize(
    "said",
    [
        "Not for care of patients", "4 of 1,040 doses", "9 min 27 s", "Can my patient take metformin with an eGFR of 28?",
        "metformin.renal.below-30", "both twins of a minimal pair right", "KL is held at its target",
        "posology run --config runs/example/config.yaml", "Word for word as SFT", "always abstain", "2,457,600", "88.8 %",
        "undefined: no items", "What it cannot tell you",
    ],
)  # fmt: skip
def test_it_says(outline: Outline, said: str) -> None:
    assert said in "".join(outline.words)


def test_changed_words_are_marked(page: str) -> None:
    assert "<ins>The eGFR of 28 is below 30. </ins>" in page
    assert "<del>Deciding</del><ins>Reason</ins>" in page


def test_the_same_run_gives_the_same_bytes(page: str, view: RunView) -> None:
    assert render(view) == page
    assert len(page.encode()) < LARGEST / 4


@pytest.mark.parametrize("count", [0, 2, 5])
def test_a_run_at_any_point_has_a_report(tmp_path, count: int) -> None:
    run = make_run(tmp_path, ALL[:count], graded=False, doctor=False)
    page = write_report(run).read_text()
    assert Outline(page).open == []
    text = "".join(Outline(page).words)
    assert "Missing:" in text and "has not been graded" in text
    assert text.count("has not begun") == len(
        [name for name in STAGES if name not in ALL[:count] and name != "tokenizer"]
    )


def test_a_graded_run_without_ppo_has_a_report(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",))
    text = "".join(Outline(write_report(run).read_text()).words)
    assert "the curves of ppo; the stage has not begun" in text


def test_damage_is_told_on_the_page(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",))
    run.scorecard_path.write_text("{")
    text = "".join(Outline(write_report(run).read_text()).words)
    assert "could not be read: scorecard.json" in text


def test_forced_is_told_where_the_stage_stands(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",))
    run.stage("ppo").note(forced=True)
    assert (
        "the reward model had failed its gate, and this stage was started with --force" in write_report(run).read_text()
    )


def test_no_path_of_this_machine(page: str, run: Run) -> None:
    assert str(run.path) not in page and str(run.path.parent) not in page


def test_the_grader_is_graded_and_leakage_told(page: str, view: RunView, tmp_path: Path) -> None:
    said = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "The grader, graded" in said and "312 / 314" in said
    assert "Does the exam leak into training? ✓ clean" in said and "1,385" in said
    run = make_run(tmp_path)
    atomic_write_json(
        run.leakage_path, {"clean": False, "leaks": ["names of S4: <b>x</b>"], "overlaps": [{"split": 1}]}
    )
    leaking = render(gather(run))
    assert "✕" in leaking and "names of S4: &lt;b&gt;x&lt;/b&gt;" in leaking


def test_experts_scores_are_shown_where_there_are_some(tmp_path: Path, page: str) -> None:
    assert "Rewards against people" not in page
    run = make_run(tmp_path)
    row = {"question": "Is it <i>ok</i>?", "answer": "Yes.", "reward": 2.5, "human": 1.0, "gap": 0.9}
    spearman = {"value": 0.61, "low": 0.4, "high": 0.77}
    atomic_write_json(run.human_path, {"answers": 40, "spearman": spearman, "model_likes": [row], "people_like": [{}]})
    shown = render(gather(run))
    said = " ".join(re.sub(r"<[^>]+>", " ", shown).split())
    assert "Rewards against people" in said and "[0.40, 0.77]" in said
    assert "Is it &lt;i&gt;ok&lt;/i&gt;?" in shown and "Liked by people" not in said

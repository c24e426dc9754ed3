"""`posology kb`: check, show and question the knowledge base (its review: kb_review). Not for care of patients."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from posology.cli import kb_review
from posology.cli.terminal import NOT_FOR_CARE
from posology.config import UserError
from posology.knowledge.check import check_folder
from posology.knowledge.fact import Fact, FactType
from posology.knowledge.judge import Judgement, judge
from posology.knowledge.library import Library, load_library
from posology.knowledge.match import phenotype_name, reaction_class
from posology.knowledge.patient import Allergy, Genotype, Patient, Reaction
from posology.knowledge.sheet import action_words

NOT_COVERED = "not covered"

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("export")(kb_review.export)
app.command("diff")(kb_review.diff)
app.command("status")(kb_review.status)
app.command("audit")(kb_review.audit)

Folder = Annotated[Path | None, typer.Option(help="A knowledge folder of your own (facts/*.toml, sources*.toml).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def check(folder: Folder = None) -> None:
    """Check every fact: schema, units, sources, names, overlaps, alternatives. Exit 1 with the problems listed."""
    library, problems = check_folder(folder)
    for problem in problems:
        typer.echo(f"{problem.file}: {problem.fact or '-'}: {problem.message}\n  remedy: {problem.remedy}")
    counts = f"{len(library.drugs)} drugs, {len(library.classes)} classes, {len(library.facts)} facts"
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        typer.echo(f"{len(problems)} {noun} in {counts}", err=True)
        raise typer.Exit(1)
    negatives = sum(fact.type is FactType.NEGATIVE for fact in library.facts)
    typer.echo(
        f"ok: {counts}, {len(library.interaction_pairs())} interaction pairs, {negatives} cited negatives, "
        f"{len(library.sources)} sources"
    )


@app.command()
def show(drug: Annotated[str, typer.Argument(help="Generic name, brand or alias.")], folder: Folder = None) -> None:
    """Everything the knowledge base says about one drug, with sources."""
    library = load_library(folder)
    name = library.resolve_drug(drug)
    if name is None:
        raise UserError(f"the knowledge base has no drug {drug!r}", _near(drug, library) or "see `posology kb check`")
    entry = library.drugs[name]
    typer.echo(f"{name} ({', '.join(entry.classes)})")
    if entry.brands or entry.aliases:
        typer.echo(f"also: {', '.join((*entry.brands, *entry.aliases))}")
    rules = sorted(library.rules_for(name), key=lambda rule: (rule.fact.type.value, rule.mirrored))
    shown = ""
    for rule in rules:
        if rule.fact.type.value != shown:
            shown = rule.fact.type.value
            typer.echo(f"\n{shown}")
        when = ", ".join(condition.text for condition in rule.when) or "always"
        _show_fact(rule.fact, when, library)
    typer.echo(f"\n{NOT_FOR_CARE}")


def _show_fact(fact: Fact, when: str, library: Library) -> None:
    said = fact.verdict.value if fact.verdict else fact.monitoring or fact.antidote or "maximum"
    view = (
        "" if fact.view == "primary" and fact.jurisdiction in ("US", "intl") else f" [{fact.jurisdiction}, other view]"
    )
    dose = f": {action_words(fact.action)}" if fact.action else ""
    reason = f"; {fact.mechanism}" if fact.mechanism else ""
    typer.echo(f"  {said}{dose} when {when}{reason}{view}")
    cited = "; ".join(
        f"{library.sources[ref.id].publisher if ref.id in library.sources else ref.id}, {ref.locator}"
        for ref in fact.sources
    )
    place = f" ({fact.verified.at})" if fact.verified.at else ""
    checked = (
        f"verified: {fact.verified.by} {fact.verified.date}{place}" if fact.verified.by != "none" else "unverified"
    )
    typer.echo(f"    {fact.id} · {cited} · as of {fact.as_of} · {checked}")


@app.command("judge")
def judge_command(
    drug: Annotated[str, typer.Option(help="Generic name, brand or alias.")],
    age: Annotated[float | None, typer.Option(min=0, max=120, help="Years (0.5 is six months).")] = None,
    weight: Annotated[float | None, typer.Option(min=0.3, max=500, help="kg.")] = None,
    height: Annotated[float | None, typer.Option(min=20, max=260, help="cm.")] = None,
    sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
    creatinine: Annotated[float | None, typer.Option(min=0.05, max=40, help="Serum creatinine, mg/dL.")] = None,
    egfr: Annotated[float | None, typer.Option(min=0, max=250, help="mL/min/1.73 m2.")] = None,
    crcl: Annotated[float | None, typer.Option(min=0, max=400, help="mL/min.")] = None,
    child_pugh: Annotated[str | None, typer.Option(help="A, B or C.")] = None,
    pregnant: Annotated[bool, typer.Option("--pregnant")] = False,
    trimester: Annotated[int | None, typer.Option(min=1, max=3)] = None,
    lactating: Annotated[bool, typer.Option("--lactating")] = False,
    indication: Annotated[str, typer.Option(help="What it is for.")] = "",
    jurisdiction: Annotated[str, typer.Option(help="US, UK, EU or intl.")] = "US",
    allergy: Annotated[list[str] | None, typer.Option(help='"penicillin:anaphylaxis"; repeat for more.')] = None,
    genotype: Annotated[list[str] | None, typer.Option(help='"CYP2D6=poor metabolizer"; repeat for more.')] = None,
    comed: Annotated[list[str] | None, typer.Option(help="Another medicine taken; repeat for more.")] = None,
    condition: Annotated[list[str] | None, typer.Option(help="A disease or state; repeat for more.")] = None,
    as_json: Json = False,
    folder: Folder = None,
) -> None:
    """The verdict on a drug for a patient given by flags, from the facts alone (no model)."""
    library = load_library(folder)
    patient = Patient(
        age_years=age,
        weight_kg=weight,
        height_cm=height,
        sex=cast(Literal["female", "male"] | None, _one_of("--sex", sex, {"female": "fF", "male": "mM"})),
        creatinine_mg_dl=creatinine,
        egfr=egfr,
        crcl=crcl,
        child_pugh=cast(
            Literal["A", "B", "C"] | None, _one_of("--child-pugh", child_pugh, {"A": "", "B": "", "C": ""})
        ),
        pregnant=pregnant,
        trimester=trimester,
        lactating=lactating,
        indication=indication,
        jurisdiction=cast(
            Literal["US", "UK", "EU", "intl"],
            _one_of("--jurisdiction", jurisdiction, {"US": "", "UK": "", "EU": "", "intl": ""}),
        ),
        allergies=tuple(_allergy(text) for text in allergy or ()),
        genotypes=tuple(_genotype(text) for text in genotype or ()),
        comeds=tuple(comed or ()),
        conditions=tuple(condition or ()),
    )
    judgement = judge(patient, drug, library)
    for note in _unread(patient, drug, library):
        typer.echo(f"note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps(judgement_json(judgement), ensure_ascii=False))
        typer.echo(NOT_FOR_CARE, err=True)
    else:
        _print(judgement)


def judgement_json(judgement: Judgement) -> dict[str, Any]:
    """{"verdict", "facts", "dose", "missing", "why"}; `missing` is ["not covered"] where nothing could be asked for."""
    missing = list(judgement.missing) or ([NOT_COVERED] if judgement.not_covered else [])
    return {
        "verdict": judgement.verdict.value,
        "facts": [fact.id for fact in judgement.facts],
        "dose": asdict(judgement.dose) if judgement.dose else None,
        "missing": missing,
        "why": _why(judgement),
    }


def _why(judgement: Judgement) -> str:
    others = [f"{fact.jurisdiction} view {fact.verdict} ({fact.id})" for fact in judgement.conflict]
    others += [
        f"{fact.jurisdiction} view {action_words(fact.action)} ({fact.id})"
        for fact in judgement.other_doses
        if fact.action is not None
    ]
    return "; sources differ: ".join(part for part in (judgement.why, ", ".join(others)) if part)


def _print(judgement: Judgement) -> None:
    typer.echo(f"{judgement.drug}: {judgement.verdict.value}")
    rows = [
        ("why", _why(judgement)),
        ("dose", _dose(judgement)),
        ("instead", "; ".join(f"{new} instead of {old}" for new, old in judgement.alternatives)),
        ("monitor", judgement.monitoring),
        ("facts", ", ".join(fact.id for fact in judgement.facts)),
    ]
    for label, text in rows:
        if text:
            typer.echo(f"  {label}: {text}")
    typer.echo(NOT_FOR_CARE)


def _dose(judgement: Judgement) -> str:
    dose = judgement.dose
    if dose is None:
        return ""
    worked = f" = {dose.expression}" if dose.expression and not dose.phases else ""
    note = f" ({dose.note})" if dose.note else ""
    return f"{dose.of} {dose.text}{worked}{note}"


def _one_of(flag: str, text: str | None, allowed: dict[str, str]) -> str | None:
    if text is None:
        return None
    for name, short in allowed.items():
        if text.casefold() == name.casefold() or (text and text in short):
            return name
    raise typer.BadParameter(f"{text!r} is not one of {', '.join(allowed)}", param_hint=flag)


def _allergy(text: str) -> Allergy:
    allergen, _, reaction = text.partition(":")
    if not allergen.strip():
        raise typer.BadParameter(f'{text!r}: write "penicillin" or "penicillin:anaphylaxis"', param_hint="--allergy")
    return Allergy(allergen.strip(), cast(Reaction, reaction_class(reaction)))


def _genotype(text: str) -> Genotype:
    gene, _, phenotype = text.partition("=")
    if not gene.strip():
        raise typer.BadParameter(f'{text!r}: write "CYP2D6=poor metabolizer"', param_hint="--genotype")
    return Genotype(gene.strip(), phenotype_name(phenotype))


def _unread(patient: Patient, drug: str, library: Library) -> list[str]:
    """Names that the knowledge base does not have, each with the nearest one that it has."""
    unknown = [("drug", drug)] if library.resolve_drug(drug) is None else []
    for name in patient.comeds:
        if library.resolve_drug(name) is None and library.resolve_class(name) is None:
            unknown.append(("co-medication", name))
    terms = [("condition", name) for name in patient.conditions]
    terms += [("indication", patient.indication)] if patient.indication else []
    unknown += [(kind, name) for kind, name in terms if library.resolve_term(kind, name) is None]
    notes = []
    for kind, name in unknown:
        near = _near(name, library, "" if kind in ("drug", "co-medication") else kind)
        notes.append(f"the knowledge base has no {kind} {name!r}" + (f"; {near}" if near else ""))
    return notes


def _near(text: str, library: Library, kind: str = "") -> str:
    if kind:
        names = [name for term_kind, name in library.terms if term_kind == kind]
    else:
        names = [name for drug in library.drugs.values() for name in (drug.name, *drug.brands, *drug.aliases)]
    close = difflib.get_close_matches(text.casefold(), [name.casefold() for name in names], n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else ""

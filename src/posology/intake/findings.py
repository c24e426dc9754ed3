"""Findings and sides in a note: enough to see one that was made up, or a left that became a right.

A short vocabulary of complaints and signs with their synonyms, and body parts with a side before them. It is no reader
of diagnoses: what it does not know it does not judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from posology.intake.amounts import fold
from posology.intake.sentences import sentences

# Complaint or sign -> other words for it (or for more than it: a note that tells of the wider one tells of it).
FINDINGS: dict[str, tuple[str, ...]] = {
    "chest pain": ("chest pressure", "chest tightness", "chest discomfort", "angina", "chest cramps"),
    "shortness of breath": ("dyspnea", "dyspnoea", "breathlessness", "short of breath", "sob", "trouble breathing"),
    "palpitations": ("palpitation", "racing heart", "heart racing"),
    "syncope": ("fainting", "fainted", "passed out", "loss of consciousness", "blackout"),
    "dizziness": ("dizzy", "lightheadedness", "lightheaded", "light-headedness", "vertigo", "light-headed"),
    "headache": ("headaches", "migraine", "migraines", "head pain", "cephalgia"),
    "fever": ("fevers", "febrile", "pyrexia", "high temperature"),
    "chills": ("rigors", "shivering"),
    "night sweats": ("sweats", "sweating", "diaphoresis"),
    "weight loss": ("lost weight", "losing weight", "weight has dropped"),
    "weight gain": ("gained weight", "gaining weight"),
    "nausea": ("nauseated", "nauseous", "queasiness"),
    "vomiting": ("emesis", "vomited", "vomits", "throwing up"),
    "diarrhea": ("diarrhoea", "loose stools", "loose stool"),
    "constipation": ("constipated",),
    "abdominal pain": ("stomach pain", "belly pain", "epigastric pain", "stomach ache", "abdominal discomfort"),
    "black stools": ("melena", "melaena", "tarry stools"),
    "rectal bleeding": ("hematochezia", "bloody stools", "blood in his stool", "blood in her stool", "bright red blood"),
    "jaundice": ("icterus", "icteric", "yellow skin"),
    "cough": ("coughing", "coughs"),
    "hemoptysis": ("haemoptysis", "coughing up blood"),
    "wheezing": ("wheeze", "wheezes"),
    "sore throat": ("pharyngitis", "throat pain"),
    "hearing loss": ("deafness", "decreased hearing", "hard of hearing"),
    "tinnitus": ("ringing in the ears", "ringing in his ears", "ringing in her ears"),
    "blurred vision": ("blurry vision", "vision loss", "visual loss", "vision changes"),
    "double vision": ("diplopia",),
    "hematuria": ("haematuria", "blood in the urine", "blood in his urine", "blood in her urine"),
    "dysuria": ("painful urination", "burning with urination", "burning on urination"),
    "urinary incontinence": ("incontinence", "incontinent"),
    "leg swelling": ("edema", "oedema", "swelling in the legs", "swollen legs", "ankle swelling", "swelling"),
    "rash": ("rashes", "hives", "urticaria", "eruption", "skin lesions"),
    "itching": ("pruritus", "itchy", "itchiness"),
    "joint pain": ("arthralgia", "arthralgias", "joint pains", "arthritis"),
    "back pain": ("low back pain", "lumbago", "backache"),
    "neck stiffness": ("stiff neck", "nuchal rigidity"),
    "numbness": ("paresthesia", "paresthesias", "tingling"),
    "weakness": ("weak", "asthenia"),
    "tremor": ("tremors", "shaking", "shakiness"),
    "seizure": ("seizures", "convulsion", "convulsions"),
    "confusion": ("confused", "disoriented", "delirium", "altered mental status"),
    "insomnia": ("difficulty sleeping", "trouble sleeping", "sleeplessness", "not sleeping"),
    "depression": ("depressed", "low mood", "depressive"),
    "suicidal thoughts": ("suicidal ideation", "suicidal"),
    "hallucinations": ("hallucination", "hallucinating", "hearing voices"),
    "easy bruising": ("bruising", "ecchymosis", "ecchymoses"),
    "nosebleeds": ("epistaxis", "nosebleed"),
    "fatigue": ("tired", "tiredness", "malaise", "exhaustion", "lethargy"),
}
_NAMES = {name: finding for finding, others in FINDINGS.items() for name in (finding, *others)}
_FINDING = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True)) + r")\b")
_DENIED = re.compile(
    r"\b(?:den(?:y|ies|ied|ying)|no|not|without|negative for|absence of|absent|free of|never|none|resolved|nor|neither)\b"
)
_AFFIRMED = re.compile(r"\b(?:but|however|reports?|complains?|endorses?|admits?|has|had|positive for|except)\b")
_PARTS = (
    "arm|forearm|wrist|hand|finger|thumb|elbow|shoulder|clavicle|leg|thigh|calf|knee|ankle|foot|toe|heel|hip|groin"
    "|buttock|eye|eyelid|ear|nostril|naris|cheek|jaw|neck|breast|chest|lung|kidney|flank|side|ovary|testicle"
    "|testis|carotid|lobe|ventricle|atrium|hemisphere|tonsil|femur|tibia|fibula|humerus|radius|ulna|hand|hemiparesis"
    "|quadrant|temple|temporal|frontal|parietal|occipital|maxillary|axilla|scapula|extremity|tibial|knees|eyes|ears"
)
_SIDE = re.compile(rf"\b(?P<side>left|right)(?:[ -](?:\w+[ -]){{0,2}}?)(?P<part>(?:{_PARTS})s?)\b")
_BOTH = re.compile(rf"\b(?:both|bilateral(?:ly)?)\b(?: \w+){{0,2}}? (?P<part>(?:{_PARTS}|feet)s?)\b")


@dataclass(frozen=True)
class Finding:
    """A complaint or sign at [start, end) of a text, told as there or as not there."""

    name: str
    present: bool
    start: int
    end: int


@dataclass(frozen=True)
class Sided:
    """A body part with its side ("left", "right" or "both"); `start` is where the side's word begins."""

    side: str
    part: str
    start: int
    end: int


def read_findings(text: str) -> tuple[Finding, ...]:
    """The findings that a text tells of, in order; a denial before one in its sentence makes it absent."""
    folded, found = fold(text), []
    for sentence in sentences(text):
        body = folded[sentence.start : sentence.end]
        for match in _FINDING.finditer(body):
            denials = [cue.end() for cue in _DENIED.finditer(body, 0, match.start())]
            affirmed = [cue.end() for cue in _AFFIRMED.finditer(body, 0, match.start())]
            present = not denials or (bool(affirmed) and affirmed[-1] > denials[-1])
            at = sentence.start
            found.append(Finding(_NAMES[match[0]], present, at + match.start(), at + match.end()))
    return tuple(found)


def read_sides(text: str) -> tuple[Sided, ...]:
    """Body parts with a side, in order."""
    folded = fold(text)
    found = [Sided(m["side"], m["part"].rstrip("s"), m.start(), m.end()) for m in _SIDE.finditer(folded)]
    found += [Sided("both", m["part"].rstrip("s"), m.start(), m.end()) for m in _BOTH.finditer(folded)]
    return tuple(sorted(found, key=lambda sided: sided.start))


def unsupported_findings(summary: str, note: str) -> tuple[Finding, ...]:
    """Findings told as present in a summary that its note does not tell of as present."""
    known = {finding.name for finding in read_findings(note) if finding.present}
    return tuple(finding for finding in read_findings(summary) if finding.present and finding.name not in known)


def unsupported_sides(summary: str, note: str) -> tuple[Sided, ...]:
    """Body parts whose side in a summary is only the other one in its note. A part without a side there is not judged."""
    told: dict[str, set[str]] = {}
    for sided in read_sides(note):
        told.setdefault(sided.part, set()).add(sided.side)
    return tuple(
        sided
        for sided in read_sides(summary)
        if sided.side != "both" and sided.part in told and not {sided.side, "both"} & told[sided.part]
    )

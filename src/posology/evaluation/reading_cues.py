"""The words in which verdicts are said, negated, denied, supposed and attributed. Data for `reading_verdict`.

All patterns are for normalised text (`reading_text.normalise`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Side = Literal["before", "after", "either"]
TOKEN = re.compile(r"[a-z][a-z'-]*")


def _any(*parts: str) -> str:
    return "(?:" + "|".join(parts) + ")"


USED = (
    "(?:safely |simply |just )?(?:be |get |to be )?(?:safely |concurrently |concomitantly |routinely |ever )?"
    + _any("us(?:e|ed|ing)", "giv(?:e|en|ing)", "tak(?:e|en|ing)", "prescrib(?:e|ed|ing)", "start(?:ed|ing)?")[:-1]
    + "|initiat(?:e|ed)|administer(?:ed)?|combin(?:e|ed)|co-?administer(?:ed)?|co-?prescribed?|continued?"
    + r"|receiv(?:e|ed)|recommend(?:ed)?|dispensed?|add(?:ed)?)\b"
)
MORE = (  # not: "do not use more than 20 mg", "do not use X without monitoring"
    "(?! (?:more|above|over|doses?|higher|beyond|without"
    "|[a-z-]+ (?:more than|above|at more|in doses|at doses|without|on an)))"
)
DOSE = "dos(?:e|es|age|ing)"
CUT = _any(
    "reduc(?:e|ed|es|ing|tion)", "lower(?:ed|ing)?", "decreas(?:e|ed|ing)", "halv(?:e|ed|ing)",
    "adjust(?:ed|ing|ment|ments)?", "cut",
)  # fmt: skip
AMOUNT = r"\d[\d.,]* ?(?:mg|g|mcg|ug|units?|ml|%|percent)"
AT_MOST = "(?:at most |no more than |a maximum of )?"


@dataclass(frozen=True)
class Cue:
    """A way of saying a verdict; `side` is where its drug usually stands; `negated` is what "not ..." makes of it.

    Verdicts in lower case are weak: they count only where nothing stronger is said, or against their opposite.
    """

    pattern: re.Pattern[str]
    verdict: str
    negated: str = ""
    side: Side = "before"


def _cue(verdict: str, negated: str, side: Side, *patterns: str) -> Cue:
    return Cue(re.compile("|".join(patterns)), verdict, negated, side)


_STOP = "CONTRAINDICATED", "not contraindicated"
_AVOID = "AVOID", "not avoid"
_ADJUST = "ADJUST", "no adjustment"
_FINE = "OK", "AVOID"

# In order: an earlier cue takes its words away from the later ones.
CUES: tuple[Cue, ...] = (
    _cue("AVOID", "not contraindicated", "before", r"\brelative(?:ly)? contra-?indicat(?:ed|ion)\b"),
    _cue(*_STOP, "either", r"\bcontra-?indications?\b"),
    _cue(*_STOP, "before", r"\bcontra-?indicated\b", r"\b(?:forbidden|prohibited)\b"),
    _cue(*_STOP, "after", r"\bcontra-?indicates?\b"),
    _cue("CONTRAINDICATED", "", "either", rf"\b(?:must not|must never|may not|may never|never) {USED}{MORE}"),
    _cue(
        "AVOID", "not avoid", "either",
        r"\b(?:should not|should never|ought not to|can not|could not|shall not|do not|does not|would not|not to) "
        rf"{USED}{MORE}(?! (?:any )?(?:reduction|adjust\w*|dose|caution|special))",
    ),
    _cue(
        *_AVOID, "after",
        r"\b(?:reason|need|necessary|required) to (?:avoid|stop|discontinue|withhold)\b",
    ),
    _cue(
        *_AVOID, "before",
        r"\bavoided\b", r"\b(?:stopped|discontinued|withheld|replaced (?:by|with)|ruled out|off the table)\b",
        r"\b(?:bad|poor|wrong) (?:idea|choice|option)\b", r"\bis not (?:fine|ok|okay|all right|alright)\b",
        r"\b(?:un(?:safe|suitable|acceptable|advisable|wise)|in(?:advisable|appropriate)|dangerous|hazardous)\b",
    ),
    _cue(
        *_AVOID, "after",
        r"\bavoid(?:ance|ing)?\b", r"\b(?:stop|discontinue|withhold|hold)\b(?! (?:and|if|when))",
        r"\b(?:steer clear of|(?:keep|stay) away from)\b",
    ),
    _cue(
        "no adjustment", "", "before",
        rf"\b{CUT}(?: (?:is|are))? not (?:needed|required|necessary|indicated|warranted)\b",
        rf"\b{DOSE} (?:does|need|do|should|must) not (?:have to |need to |need )?(?:be )?(?:{CUT}|changed?)\b",
    ),
    _cue(
        *_ADJUST, "after",
        r"\b(?:extend|lengthen|prolong|increase|widen)(?:ed|ing)? (?:the )?(?:dos(?:e|ing|age) )?interval\b",
        rf"\b{CUT}\b[^.:,]{{0,40}}?\b{DOSE}\b(?: of\b)?",
    ),
    _cue(
        *_ADJUST, "before",
        r"\badjust(?:ed|ment|ing)? (?:by|to|for|according to) (?:the )?(?:crcl|egfr|kidney|renal|weight|creatinine)\b",
        rf"\b{DOSE}\b[^.:,]{{0,40}}?\b(?:{CUT}|limited|capped|increased)\b",
        rf"\b{DOSE} (?:of [a-z -]+ )?(?:must|should|may|can) not (?:exceed|be (?:above|over|more than)) {AMOUNT}",
        rf"\b(?:limited|restricted|capped|reduced|lowered|decreased) (?:to|at|by) {AT_MOST}{AMOUNT}",
    ),
    _cue(
        *_ADJUST, "after",
        rf"\b(?:{CUT}|limit|restrict|cap)\b[^.:]{{0,40}}?\b(?:to|by|at) {AT_MOST}{AMOUNT}",
        rf"\b(?:limit|restrict|cap)\b[^.:,]{{0,30}}?\b{DOSE}\b",
    ),
    _cue(
        *_ADJUST, "before",
        r"\b(?:lower|reduced|smaller|half|adjusted|halved|weight-based) (?:of )?(?:the |its )?"
        rf"(?:usual |normal |standard |starting |initial |daily )?{DOSE}\b",
    ),
    _cue(*_ADJUST, "either", r"\d ?(?:%|percent) of the (?:usual|normal|standard|full)\b"),
    _cue("ADJUST", "", "either", rf"\b{DOSE} (?:is |as )?(?:by|on|according to|per) (?:the |body )?weight\b"),
    _cue(
        "CAUTION", "no caution", "either",
        r"\b(?:extra |special |with |use |great |particular )*(?:caution|cautiously|precautions?)\b",
    ),
    _cue(
        "no adjustment", "", "before",
        rf"\bno (?:[a-z]+ ){{0,2}}?(?:change|changes|restrictions?|{CUT})\b",
        rf"\bnot? (?:need|require)[a-z]* (?:any |a )?(?:{DOSE} )?{CUT}\b",
    ),
    _cue(
        *_FINE, "before",
        r"\b(?:the )?(?:usual|normal|standard|full) (?:adult )?dos(?:e|es|age|ing)\b"
        r"(?= (?:can|may|applies|is (?:fine|ok|okay|safe|acceptable|appropriate)))",
    ),
    _cue(
        "no interaction", "", "either",
        r"\bno (?:[a-z-]+ ){0,3}(?:interactions?|problems?|concerns?|objections?|issues?)\b",
    ),
    _cue(
        *_FINE, "either",
        r"\b(?:acceptable|safe|safely|permitted|allowed|permissible|suitable|appropriate|advisable|tolerated)\b",
    ),
    _cue(*_FINE, "before", r"\b(?:recommended|advised|reasonable|compatible)\b"),
    _cue(
        *_FINE, "either",
        r"\bis (?:fine|ok|okay|all right|alright)\b", r"\bis right for\b", r"^(?:probably )?ok(?:ay)?\.?$",
        r"\b(?:fine|ok|okay) to\b", r"\ban option\b", r"\bgo ahead\b",
        r"\bgood (?:idea|choice|option)\b", r"\b(?:verdict|answer|conclusion)(?::| is) ok(?:ay)?\b",
        rf"\b(?:can|may|could) (?:be )?(?:still |also |safely |therefore |normally )?{USED}",
    ),
    _cue(
        "directive", "", "after",
        r"^(?:yes,? )?(?:use|give|prescribe|take|start|continue)\b(?! (?:caution|care|the lowest))",
    ),
    _cue(
        "ceiling", "", "before",
        r"\b(?:at most|no more than|not (?:to )?exceed|never exceed|maximum(?: dose)? (?:of|is)|up to)\b",
        r"\b(?:do not|not to|never) (?:use|give|take) more than\b",
    ),
)  # fmt: skip

# A clause without any of these holds no cue.
HINT = re.compile(
    "contra-?indicat|forbid|prohibit|must n|may n|never|should n|ought|not |avoid|stop|discontinu|with(?:hold|held)"
    "|unsafe|unsuit|unaccept|unadvis|unwise|inadvis|inappropr|danger|hazard|dos(?:e|age|ing)|reduc|lower|decreas|halv"
    "|adjust|limit|restrict|cap|%|percent|caution|no |accept|safe|permi|allow|suitab|approp|advis|tolerat|recommend"
    "|reasonab|compatib|fine|ok|option|right|replac|interval|idea|choice|ruled|table|hold|cut|chang|verdict|answer"
    "|conclusion|go ahead|steer|away|can |may |could |use|give|prescribe|take|start|continue|at most|maximum|up to"
)
_GLUE = _any(  # may stand between "not" and what it negates
    *TOKEN.findall("""
    be been being a an the any is are was it that this considered regarded seen listed known as strictly absolutely
    formally really necessarily generally usually currently at all specifically clear labelled labeled absolute reason
    need needed require requires required dose dosage dosing further special extra particular evidence of for true say
    saying to have has think so called correct right medicine drug automatically itself actually there you or use given
    used with mean strict firm contraindicated relevant""")
)
NEGATED = re.compile(
    r"(?:\bnot|\bno|\bnever|\bwithout|\bneither|\bnor|\bno longer|\brather than|\binstead of|\bfar from|\bfree of"
    r"|\b(?:wrong|incorrect|false|untrue|mistaken|mistake) (?:to|that)|\b(?:no|any) (?:need|reason)(?: to| for)?)"
    rf"(?: {_GLUE}){{0,6}} $|\bnot,[^,]{{0,40}}, $"
)
DENIED = re.compile(  # whatever follows is denied: "it is a myth that ..."
    r"\b(?:it is|it would be|that is|is) (?:a )?(?:not true|untrue|false|wrong|incorrect|a myth|myth|mistaken|mistake)"
    r"(?: (?:to (?:say|claim|think|state)|that))+"
    r"|\bdoes not mean that\b|\bnot the case that\b|\bmyth that\b|\bnobody\b|\bno one\b|\bhardly\b"
)
POSSIBLE = re.compile(  # conditions that take nothing back
    r",? ?\bif (?:at all )?(?:possible|you can|feasible|needed|necessary|required|tolerated|not contraindicated)\b"
    r"|\bas if\b|,? ?\bunless (?:no alternative|nothing else|there is no (?:alternative|other))\b[^,;.]*"
)
SUPPOSED = re.compile(  # a rule, a condition or the past: not about this patient now
    r"\bwhether\b|\bin the past\b|\bonce (?:called|considered|thought)\b|\bformerly\b|\bused to be\b"
    r"|^(?:patients|people|those|anyone|adults|children) (?:with|who|whose)\b.*"
    r"(?:below|under|above|over|less than|more than|<|>)"
    r"|(?:^|,? |\()(?:only )?(?:if|unless|should the|in case|were the)\b"
    r"|\b(?:when|where|once|whenever) (?:the |an )?(?:egfr|crcl|creatinine clearance|creatinine|clearance|age|weight"
    r"|kidney function|renal function)\b(?! (?:of|is|=) ?\d)"
)
SKIPPED = re.compile(  # sentences that give no verdict of their own
    r"^(?:deciding\b|monitor\b|monitoring:|instead of\b|alternatives?:|usual dose:|reason: |(?:the )?mechanism: )"
    r"|\bsources (?:differ|disagree|conflict)|\bguidelines (?:differ|disagree)|\blabels? .{0,30}(?:differ|disagree)"
    r"|\bsome sources\b|\bother sources\b|\banother source\b|\bconsult (?:a|your|the) (?:pharmacist|doctor|physician)"
)
NOT_SKIPPED = re.compile(r"^(?:reason|(?:the )?mechanism): .*\b(?:contra-?indicated|avoid(?:ed)?)\b")
BACKGROUND = re.compile(  # a drug named after these is not what the sentence is about
    r"(?:\binstead of|\brather than|\bunlike|\bin place of|\breplac(?:e|es|ed|ing)|\bsafer than|\bthan"
    r"|\bswitch(?:ed|ing)? from|\bcompared (?:with|to)|\b(?:on|taking|receiving|using|takes|uses|given) (?:the )?"
    r"|\ballerg(?:y|ic) to|\bhistory of|\bin contrast to|\bincreases? the effect of|\blevels? of|\beffects? of"
    r"|\bclearance of|\bmetabolism of|\brisk of|\bnot) $"
)
JOINED = re.compile(  # between two drugs that share a verdict
    r"^[ ,]*(?:(?:and|or|with|plus|nor|as well as|together with|combined with|along with|alongside|in combination with"
    r"|co-?administered with|concurrently with|concomitantly with|/|\+|&|-) ?(?:the |both )?)+$|^ ?[/+&-] ?$"
)
PAIR = re.compile(r"\b(?:this|the|such a) (?:pair|combination)\b|\bboth\b|\bthe two\b|\btogether\b")
PARTNER = re.compile(  # between a cue and the other drug of a pair: "contraindicated with"
    r"^ (?:if |when )?(?:it is |they are )?(?:combined |given |taken |used |co-?administered )?"
    r"(?:together |concurrently )?(?:with|alongside|in combination with) (?:the )?$"
)
GENERIC = frozenset(  # words that name nothing in particular: a clause of these speaks of the drug in focus
    TOKEN.findall("""
        it its it's this that that's these they them both together drug drugs medicine medicines medication medications
        combination combining combined combo use using usage treatment therapy therapies agent agents which
        taking take takes prescribing prescribe giving give starting start continuing continue concurrent
        concomitant patient patients he she you we yes no pair one two option choice here so therefore thus
        hence as and or be is are was a an the of for in on to with at all case situation such patient's your my
        his her their i product tablet generally strongly strictly absolutely usually always definitely clearly
        probably likely normally currently still also however overall answer verdict recommendation conclusion
        short summary simply just only very completely entirely totally must should would could can may might
        will do does not never best better considered regarded been being has have had if when given because
        since due who whom person person's adult child woman man but although though yet safe today now either
        each every any whole regimen course administration ingestion intake avoided please needs need needed
        reason there
    """)
)

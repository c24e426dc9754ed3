"""Fifty questions written by hand, in words that no template made. Their gold is the judge's like everyone's."""

from __future__ import annotations

from collections.abc import Iterator

from posology.curriculum.answers import script_of
from posology.curriculum.exam import patient_fields
from posology.curriculum.questions import medicines
from posology.curriculum.records import Case
from posology.curriculum.working import looked_up
from posology.knowledge.judge import judge
from posology.knowledge.library import Library
from posology.knowledge.patient import Allergy, Genotype, Patient
from posology.text.formulary import Formulary

P, G, A = Patient, Genotype, Allergy
DOSE = True  # the question asks for the dose

HAND: tuple[tuple[str, str, Patient, bool], ...] = (
    ("Her kidneys filter at an eGFR of 28. Does metformin stay on the list?", "metformin", P(sex="female", egfr=28), False),
    ("eGFR came back as 52 this morning, may metformin go on?", "metformin", P(egfr=52), False),
    ("Metformin in a man whose eGFR fell to 37: start it?", "metformin", P(sex="male", egfr=37), False),
    ("We have a 71-year-old on warfarin who asks for ibuprofen for a sore knee. Yes or no?", "ibuprofen",
     P(age_years=71, comeds=("warfarin",)), False),
    ("Does warfarin go together with daily naproxen?", "warfarin", P(comeds=("naproxen",)), False),
    ("My father takes warfarin. Would a daily aspirin be a bad idea?", "aspirin", P(comeds=("warfarin",)), False),
    ("Codeine for someone whose CYP2D6 test says poor metabolizer?", "codeine", P(genotypes=(G("CYP2D6", "poor metabolizer"),)), False),
    ("The lab reports CYP2D6 ultrarapid metabolizer. What do you say about codeine?", "codeine",
     P(genotypes=(G("CYP2D6", "ultrarapid metabolizer"),)), False),
    ("A nine year old had surgery; codeine for pain?", "codeine", P(age_years=9, indication="pain"), False),
    ("Tramadol for a child of eight, is that allowed?", "tramadol", P(age_years=8), False),
    ("He once had anaphylaxis after penicillin. Is cephalexin a problem?", "cephalexin",
     P(sex="male", allergies=(A("penicillin", "immediate"),)), False),
    ("She reacted to penicillin with anaphylaxis years ago; would cefazolin do?", "cefazolin",
     P(sex="female", allergies=(A("penicillin", "immediate"),)), False),
    ("Penicillin gave him anaphylaxis. Amoxicillin now?", "amoxicillin", P(sex="male", allergies=(A("penicillin", "immediate"),)), False),
    ("Penicillin allergy, nobody remembers what happened. Cephalexin?", "cephalexin", P(allergies=(A("penicillin"),)), False),
    ("How many milligrams of amoxicillin for a severe infection in a 4-year-old boy of 20 kg?", "amoxicillin",
     P(age_years=4, sex="male", weight_kg=20, indication="severe infection"), DOSE),
    ("Otitis media, 3 years old, 14 kg on the scale. Amoxicillin: how much each time?", "amoxicillin",
     P(age_years=3, weight_kg=14, indication="otitis media"), DOSE),
    ("A little girl of 5 with fever weighs 18 kg. Her acetaminophen dose, please.", "acetaminophen",
     P(age_years=5, sex="female", weight_kg=18, indication="fever"), DOSE),
    ("Fever, 7 years, 24 kg: how much ibuprofen at a time?", "ibuprofen", P(age_years=7, weight_kg=24, indication="fever"), DOSE),
    ("How much ibuprofen for a big 11-year-old of 52 kg with pain?", "ibuprofen", P(age_years=11, weight_kg=52, indication="pain"), DOSE),
    ("Amoxicillin for otitis media in a 2-year-old: which dose?", "amoxicillin", P(age_years=2, indication="otitis media"), DOSE),
    ("What do I give of IV acetylcysteine after an acetaminophen overdose, patient weighs 70 kg?", "acetylcysteine",
     P(weight_kg=70, indication="acetaminophen overdose"), DOSE),
    ("Enoxaparin to treat a clot: 80 kg, CrCl only 24. The dose?", "enoxaparin",
     P(weight_kg=80, crcl=24, indication="venous thromboembolism treatment"), DOSE),
    ("Preventing a clot with enoxaparin when the CrCl is 19: how much?", "enoxaparin",
     P(crcl=19, indication="venous thromboembolism prophylaxis"), DOSE),
    ("Apixaban in atrial fibrillation: 84 years, 57 kg, creatinine 1.1. Which dose does she get?", "apixaban",
     P(age_years=84, weight_kg=57, creatinine_mg_dl=1.1, indication="atrial fibrillation"), DOSE),
    ("Apixaban in atrial fibrillation: 66 years, 81 kg, creatinine 1.0. Which dose?", "apixaban",
     P(age_years=66, weight_kg=81, creatinine_mg_dl=1.0, indication="atrial fibrillation"), DOSE),
    ("Dabigatran for atrial fibrillation with a CrCl of 22: what dose do we use here?", "dabigatran",
     P(crcl=22, indication="atrial fibrillation"), DOSE),
    ("A bladder infection and a CrCl of 41. Does nitrofurantoin still make sense?", "nitrofurantoin",
     P(crcl=41, indication="urinary tract infection"), False),
    ("CrCl 92, is nitrofurantoin all right for a urinary tract infection?", "nitrofurantoin",
     P(crcl=92, indication="urinary tract infection"), False),
    ("Clarithromycin was started yesterday. Keep the simvastatin going?", "simvastatin", P(comeds=("clarithromycin",)), False),
    ("On itraconazole for a nail fungus, and simvastatin at night. Fine together?", "simvastatin", P(comeds=("itraconazole",)), False),
    ("Simvastatin with diltiazem, CrCl 75: what is the most I can give?", "simvastatin", P(comeds=("diltiazem",), crcl=75), DOSE),
    ("A stent patient is a CYP2C19 poor metabolizer. Clopidogrel for his acute coronary syndrome?", "clopidogrel",
     P(sex="male", genotypes=(G("CYP2C19", "poor metabolizer"),), indication="acute coronary syndrome"), False),
    ("Gout, and the HLA-B*58:01 test is positive. What about allopurinol?", "allopurinol",
     P(genotypes=(G("HLA-B*58:01", "positive"),)), False),
    ("HLA-B*57:01 came back positive before abacavir. Go on?", "abacavir", P(genotypes=(G("HLA-B*57:01", "positive"),)), False),
    ("HLA-B*57:01 came back negative before abacavir. Go on?", "abacavir", P(genotypes=(G("HLA-B*57:01", "negative"),)), False),
    ("Never had carbamazepine before, HLA-B*15:02 positive. Can she start it?", "carbamazepine",
     P(sex="female", genotypes=(G("HLA-B*15:02", "positive"),)), False),
    ("DPYD poor metabolizer with colon cancer: is capecitabine off the table?", "capecitabine",
     P(genotypes=(G("DPYD", "poor metabolizer"),)), False),
    ("Tizanidine for a stiff back while the patient finishes ciprofloxacin?", "tizanidine", P(comeds=("ciprofloxacin",)), False),
    ("He takes fluvoxamine for OCD and wants tizanidine. Safe?", "tizanidine", P(sex="male", comeds=("fluvoxamine",)), False),
    ("Lisinopril in an expecting mother?", "lisinopril", P(pregnant=True), False),
    ("Acetaminophen while pregnant, any objection?", "acetaminophen", P(pregnant=True), False),
    ("Nursing mother, needs something for pain: ibuprofen?", "ibuprofen", P(lactating=True), False),
    ("Codeine for a nursing mother?", "codeine", P(lactating=True), False),
    ("Ibuprofen for a 78-year-old with heart failure?", "ibuprofen", P(age_years=78, conditions=("heart failure",)), False),
    ("Would metformin be fine for my neighbour with bad kidneys?", "metformin", P(), False),
    ("How is gentamicin dosed for a severe infection if all I know is a CrCl of 90?", "gentamicin",
     P(crcl=90, indication="severe infection"), DOSE),
    ("Is blorvastine any good with an eGFR of 44?", "blorvastine", P(egfr=44), False),
    ("My patient takes zemiprolol. Your verdict on adding quinotrexate?", "quinotrexate", P(comeds=("zemiprolol",)), False),
    ("Sildenafil for a man who uses nitrates for his angina?", "sildenafil", P(sex="male", comeds=("nitrate",)), False),
    ("Linezolid in somebody who has been on sertraline for years?", "linezolid", P(comeds=("sertraline",)), False),
)  # fmt: skip


def hand_cases(library: Library) -> Iterator[Case]:
    """The hand-written questions as cases of the split "hand"."""
    known = Formulary(library.drug_names)
    for number, (question, drug, patient, wants) in enumerate(HAND):
        judgement = judge(patient, drug, library)
        asks = wants and judgement.dose is not None
        script = script_of(judgement, patient, library, asks_dose=asks)
        fact = judgement.facts[0].id if judgement.facts else drug
        yield Case(
            question, judgement.drug, "hand", "hand", script.gold, patient_fields(patient), fact, f"hand.{number}", "",
            script.text(), looked_up(_named(question, drug, patient, library), known, dose=wants) + script.working,
        )  # fmt: skip


def _named(question: str, drug: str, patient: Patient, library: Library) -> tuple[str, ...]:
    """The medicines as the question has them, the asked one first, by whatever name it uses."""
    comeds = [_used(question, comed, library) for comed in patient.comeds if comed not in library.classes]
    return medicines(question, _used(question, drug, library), patient.indication, comeds)


def _used(question: str, name: str, library: Library) -> str:
    drug = library.drugs.get(name)
    ways = (name, *drug.brands, *drug.aliases) if drug else (name,)
    return next((way for way in ways if way.lower() in question.lower()), name)

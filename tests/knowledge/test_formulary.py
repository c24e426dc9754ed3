"""Verdicts worked out by hand from labels, guidelines and CPIC's tables, for the drugs beyond the first eighty-four.

One row: drug, patient, verdict, dose as the answer says it ("" where none is meant), and where it stands.
"""

from __future__ import annotations

from typing import Any

import pytest

from posology.knowledge.fact import Verdict
from posology.knowledge.judge import judge
from posology.knowledge.patient import Allergy, Genotype, Patient

X, AVOID, ADJUST, CAUTION, OK, ASK = (
    Verdict.CONTRAINDICATED, Verdict.AVOID, Verdict.ADJUST, Verdict.CAUTION, Verdict.OK, Verdict.INSUFFICIENT,
)  # fmt: skip


def gene(name: str, phenotype: str) -> dict[str, Any]:
    return {"genotypes": (Genotype(name, phenotype),)}


def has(*names: str) -> dict[str, Any]:
    return {"conditions": names}


def takes(*names: str) -> dict[str, Any]:
    return {"comeds": names}


def allergic(name: str) -> dict[str, Any]:
    return {"allergies": (Allergy(name, "immediate"),)}


def to(indication: str, **rest: Any) -> dict[str, Any]:
    return {"indication": indication, **rest}


Row = tuple[str, dict[str, Any], Verdict, str]
TABLE: list[Row] = [
    # beta blockers, nitrates and other blood pressure drugs
    ("carvedilol", has("asthma"), X, ""),  # Coreg section 4
    ("carvedilol", {"child_pugh": "C"}, X, ""),  # Coreg section 4: severe hepatic impairment
    ("carvedilol", to("hypertension", age_years=50), OK, "6.25 mg every 12 h"),  # Coreg section 2.3
    ("carvedilol", takes("digoxin"), CAUTION, ""),  # Coreg 7.4: digoxin raised by about 15 %
    ("carvedilol", takes("warfarin"), OK, ""),  # Coreg 12.5: prothrombin time unchanged
    ("propranolol", has("sinus bradycardia"), X, ""),  # Inderal LA contraindications
    ("propranolol", has("asthma"), X, ""),  # Inderal LA contraindications
    ("clonidine", to("hypertension", age_years=70), AVOID, ""),  # Beers 2023 table 2
    ("nifedipine", takes("rifampin"), AVOID, ""),  # Adalat CC precautions 2010: another antihypertensive
    ("nifedipine", {"pregnant": True}, OK, ""),  # ACOG bulletin 203: a first choice
    ("nitroglycerin", takes("sildenafil"), X, ""),  # Nitrostat contraindications
    ("isosorbide mononitrate", takes("sildenafil"), X, ""),  # sildenafil section 4: nitrates in any form
    ("nitroglycerin", has("severe anemia"), X, ""),  # Nitrostat contraindications
    ("nitroglycerin", to("angina", age_years=60), OK, "one dose of 0.3 to 0.6 mg"),  # Nitrostat dosage
    ("valsartan", {"pregnant": True}, AVOID, ""),  # Diovan boxed warning
    ("valsartan", takes("lisinopril"), AVOID, ""),  # ONTARGET, FDA labelling of 2014
    ("valsartan", takes("digoxin"), OK, ""),  # Diovan section 7: no interaction
    ("ramipril", has("history of angioedema"), X, ""),  # Altace section 4
    ("ramipril", {"age_years": 60, "crcl": 30}, ADJUST, "1.25 mg once daily"),  # Altace 2.4: below 40
    ("ramipril", to("hypertension", age_years=60, crcl=60), OK, "2.5 mg once daily"),  # Altace 2.1
    ("ramipril", {"age_years": 60}, ASK, ""),  # the dose turns on the clearance
    ("eplerenone", {"crcl": 30}, X, ""),  # Inspra section 4: 30 or less
    ("eplerenone", to("hypertension", age_years=60, crcl=45), X, ""),  # Inspra section 4: below 50 in hypertension
    ("eplerenone", to("heart failure", age_years=60, crcl=45), OK, "25 mg once daily"),  # Inspra 2.1
    ("eplerenone", {"crcl": 80, **takes("clarithromycin")}, X, ""),  # Inspra section 4
    ("chlorthalidone", allergic("sulfonamide"), X, ""),  # Thalitone contraindications
    ("torsemide", has("anuria"), X, ""),  # Demadex contraindications
    ("torsemide", takes("spironolactone"), OK, ""),  # Demadex interactions: no change of dose
    ("potassium chloride", takes("spironolactone"), AVOID, ""),  # K-Tab warnings
    ("potassium chloride", has("hyperkalemia"), X, ""),  # K-Tab contraindications
    ("doxazosin", allergic("quinazoline"), X, ""),  # Cardura contraindications
    ("doxazosin", takes("sildenafil"), CAUTION, ""),  # Cardura precautions: PDE5 inhibitors
    # antidepressants
    ("paroxetine", gene("CYP2D6", "poor metabolizer"), ADJUST, "50 % of the usual dose"),  # CPIC 2023
    ("paroxetine", gene("CYP2D6", "ultrarapid metabolizer"), AVOID, ""),  # CPIC 2023
    ("paroxetine", {"crcl": 20}, ADJUST, "10 mg once daily"),  # Paxil: severe renal impairment
    ("paroxetine", {"pregnant": True, "trimester": 1}, AVOID, ""),  # Paxil 8.1: cardiac malformations
    ("escitalopram", to("depression", age_years=70), ADJUST, "10 mg once daily"),  # Lexapro 2.3
    ("escitalopram", to("depression", age_years=14), ADJUST, "10 mg once daily"),  # Lexapro 2.1: from 12 years
    ("fluoxetine", takes("linezolid"), X, ""),  # SSRI labels section 4
    ("venlafaxine", gene("CYP2D6", "poor metabolizer"), CAUTION, ""),  # CPIC 2023: consider another
    ("venlafaxine", {"child_pugh": "B"}, ADJUST, "50 % of the usual dose"),  # Effexor XR 2.6
    ("duloxetine", {"crcl": 25}, AVOID, ""),  # Cymbalta 2.9
    ("duloxetine", {"crcl": 90, **has("cirrhosis")}, AVOID, ""),  # Cymbalta 2.9
    ("duloxetine", {"crcl": 90, **takes("ciprofloxacin")}, AVOID, ""),  # Cymbalta 7.1
    ("duloxetine", {"age_years": 50, "crcl": 45}, OK, ""),  # Cymbalta 8.10: from 30, no adjustment
    ("bupropion", has("history of seizures"), X, ""),  # Wellbutrin XL section 4
    ("bupropion", {"child_pugh": "B"}, ADJUST, "150 mg every 48 h"),  # Wellbutrin XL 2.6
    ("trazodone", has("recent myocardial infarction"), AVOID, ""),  # Desyrel 5.3
    ("nortriptyline", gene("CYP2D6", "intermediate metabolizer"), ADJUST, "75 % of the usual dose"),  # CPIC 2016
    ("nortriptyline", gene("CYP2D6", "normal metabolizer"), OK, ""),  # CPIC 2016
    # sedatives and pain
    ("lorazepam", takes("oxycodone"), AVOID, ""),  # FDA 2016: boxed warning
    ("alprazolam", takes("itraconazole"), X, ""),  # Xanax section 4
    ("lorazepam", takes("valproate"), ADJUST, "50 % of the usual dose"),  # Ativan: halve with valproate
    ("zolpidem", to("insomnia", age_years=40, sex="female"), OK, "5 mg once daily"),  # FDA 2013
    ("zolpidem", has("sleepwalking"), X, ""),  # Ambien section 4: complex sleep behaviors
    ("zolpidem", takes("warfarin"), OK, ""),  # Ambien 12.3
    ("quetiapine", takes("fluoxetine"), OK, ""),  # Seroquel: pharmacokinetics unchanged
    ("quetiapine", takes("itraconazole"), ADJUST, "17 % of the usual dose"),  # Seroquel 2.5: one sixth
    ("hydrocodone", gene("CYP2D6", "poor metabolizer"), OK, ""),  # CPIC 2020: the label's dose
    ("oxycodone", {"child_pugh": "B"}, ADJUST, "33 % of the usual dose"),  # label 8.6: a third to half
    ("meloxicam", takes("warfarin"), AVOID, ""),  # an NSAID: Villa Zapata 2020
    ("meloxicam", has("coronary artery bypass surgery"), X, ""),  # NSAID class label section 4
    ("meloxicam", takes("digoxin"), OK, ""),  # Mobic 12.3
    ("cyclobenzaprine", has("heart failure"), X, ""),  # Flexeril contraindications
    # stomach, hormones, bone
    ("pantoprazole", takes("clopidogrel"), OK, ""),  # Protonix section 7: no change of dose
    ("pantoprazole", takes("phenytoin"), OK, ""),  # Protonix 12.3
    ("famotidine", {"age_years": 60, "crcl": 40}, ADJUST, "20 mg once daily"),  # Pepcid 2.2
    ("famotidine", {"age_years": 60, "crcl": 20}, ADJUST, "10 mg once daily"),  # Pepcid 2.2
    ("famotidine", to("gerd", age_years=50, crcl=90), OK, "20 mg every 12 h"),  # Pepcid 2.1
    ("levothyroxine", has("adrenal insufficiency"), X, ""),  # Synthroid section 4
    ("levothyroxine", to("hypothyroidism", age_years=40, weight_kg=75), ADJUST, "120 mcg once daily"),  # 1.6 x 75
    ("levothyroxine", to("hypothyroidism", age_years=40), ASK, ""),  # no dose without the weight
    ("glyburide", {"egfr": 45}, AVOID, ""),  # ADA 2025; the label's low start is the other view
    ("glyburide", has("diabetic ketoacidosis"), X, ""),  # Diabeta contraindications
    ("pioglitazone", has("severe heart failure"), X, ""),  # Actos section 4: NYHA III or IV
    ("pioglitazone", takes("gemfibrozil"), ADJUST, "at most 15 mg a day"),  # Actos 7.1
    ("pioglitazone", {"egfr": 35}, OK, ""),  # Actos 8.6: no adjustment
    ("semaglutide", has("medullary thyroid carcinoma"), X, ""),  # Ozempic section 4
    ("semaglutide", {"egfr": 25}, OK, ""),  # Ozempic 8.6
    ("alendronate", {"crcl": 34}, AVOID, ""),  # Fosamax 8.6: below 35
    ("alendronate", {"age_years": 70, "crcl": 35}, OK, ""),  # Fosamax 8.6
    # infection and transplant
    ("rifampin", takes("apixaban"), AVOID, ""),  # Eliquis section 7
    ("rifampin", to("tuberculosis", age_years=30, weight_kg=50), ADJUST, "500 mg once daily"),  # 10 mg/kg
    ("rifampin", to("tuberculosis", age_years=30, weight_kg=80), ADJUST, "600 mg once daily"),  # capped at 600 mg
    ("voriconazole", takes("rifampin"), X, ""),  # Vfend section 4
    ("voriconazole", takes("digoxin"), OK, ""),  # Vfend section 7
    ("voriconazole", {"age_years": 40, **gene("CYP2C19", "rapid metabolizer")}, AVOID, ""),  # CPIC 2016, adults
    ("simvastatin", takes("voriconazole"), X, ""),  # Zocor section 4: strong CYP3A4 inhibitors
    ("metronidazole", {"child_pugh": "C"}, ADJUST, "50 % of the usual dose"),  # Flagyl: severe impairment
    ("cefuroxime", {"crcl": 20}, ADJUST, "250 to 500 mg once daily"),  # Ceftin 2.4
    ("cefuroxime", allergic("penicillin"), CAUTION, ""),  # Picard 2019: unlike side chain, 2.11 %
    ("cefuroxime", allergic("cefazolin"), X, ""),  # cephalosporin labels, contraindications
    ("tacrolimus", {"weight_kg": 70, **gene("CYP3A5", "normal metabolizer")}, ADJUST, "10.5 mg every 12 h"),  # CPIC
    ("tacrolimus", gene("CYP3A5", "poor metabolizer"), OK, ""),  # CPIC 2015: the usual start
    # epilepsy, lungs, prostate
    ("topiramate", {"age_years": 40, "crcl": 60}, ADJUST, "50 % of the usual dose"),  # Topamax 2.4: below 70
    ("levetiracetam", {"age_years": 40, "crcl": 40}, ADJUST, "250 to 750 mg every 12 h"),  # Keppra 2.5
    ("levetiracetam", to("epilepsy", age_years=8, weight_kg=25), ADJUST, "250 mg every 12 h"),  # 10 mg/kg
    ("levetiracetam", {"age_years": 40, "crcl": 95, **takes("valproate")}, OK, ""),  # Keppra 12.3
    ("montelukast", to("asthma", age_years=8), ADJUST, "5 mg once daily"),  # Singulair 2.1
    ("montelukast", takes("warfarin"), OK, ""),  # Singulair 12.3
    ("albuterol", takes("propranolol"), AVOID, ""),  # ProAir section 7
    ("tamsulosin", takes("itraconazole"), AVOID, ""),  # Flomax 7.1
    ("tamsulosin", takes("digoxin"), OK, ""),  # Flomax section 7
    ("finasteride", {"pregnant": True}, X, ""),  # Proscar section 4
    ("finasteride", takes("warfarin"), OK, ""),  # Proscar 7.1
]  # fmt: skip


def test_the_table_is_large_and_has_negatives() -> None:
    assert len(TABLE) >= 60
    assert sum(verdict is OK for _, _, verdict, _ in TABLE) >= 20


@pytest.mark.parametrize(("drug", "patient", "verdict", "dose"), TABLE)
def test_verdict(drug: str, patient: dict[str, Any], verdict: Verdict, dose: str) -> None:
    got = judge(Patient(**patient), drug)
    assert got.verdict is verdict, got.why
    if dose:
        assert got.dose is not None and got.dose.text == dose


@pytest.mark.parametrize(
    ("drug", "patient", "other"),
    [
        ("paroxetine", {"age_years": 70}, ADJUST),  # the label's lower dose beside Beers' avoid
        ("glyburide", {"egfr": 45}, ADJUST),  # the label's low start beside the ADA's avoid
        ("escitalopram", has("long qt syndrome"), X),  # UK contraindication beside the US caution
        ("topiramate", to("migraine prevention", age_years=30, crcl=90, pregnant=True), X),  # MHRA 2024
        ("metronidazole", to("trichomoniasis", pregnant=True, trimester=1), OK),  # CDC 2021 beside the label
        ("chlorthalidone", allergic("sulfonamide"), CAUTION),  # Strom 2003 beside the label
        ("cefuroxime", allergic("penicillin"), X),  # the label's contraindication beside the side chain's caution
    ],
)
def test_sources_that_differ_are_both_named(drug: str, patient: dict[str, Any], other: Verdict) -> None:
    assert other in {fact.verdict for fact in judge(Patient(**patient), drug).conflict}

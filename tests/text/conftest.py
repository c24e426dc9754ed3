import pytest

from posology.text.tokenizer import Tokenizer, train_tokenizer

CORPUS = [
    "Can my patient take metformin with an eGFR of 28?",
    "Metformin is contraindicated. The eGFR of 28 is below 30.",
    "Adjust the dose of amoxicillin: 450 mg every 12 h.",
    "Avoid ibuprofen. Deciding: ibuprofen with warfarin. Reason: bleeding.",
] * 12


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(CORPUS, 400)

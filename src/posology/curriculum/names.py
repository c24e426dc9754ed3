"""Names of medicines that the knowledge base does not cover: real ones and invented ones.

A model that knows some drugs must say so about the others. What it is trained to decline (TRAINING_NAMES and
`training_inventions`) and what it is examined on (EXAM_NAMES for S4, `exam_inventions` for S5) never meet: the exam's
names stand in no document, dialogue or preference, and so not in the tokenizer's text either. A test holds this.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Literal

from posology.curriculum.splits import unit
from posology.seeds import stream

_EXAM = """
abiraterone acarbose acetazolamide aclidinium alemtuzumab alfuzosin aliskiren ambrisentan amifampridine anakinra
anidulafungin apalutamide apremilast arformoterol armodafinil atazanavir atenolol atogepant atovaquone
avatrombopag azacitidine azilsartan aztreonam baclofen bedaquiline benralizumab betamethasone bethanechol
bexarotene bictegravir binimetinib bisoprolol brigatinib brodalumab budesonide bumetanide bupivacaine buspirone
busulfan butorphanol cabotegravir cabozantinib canakinumab candesartan cariprazine carmustine cefixime cefoxitin
cefpodoxime ceftaroline cenobamate certolizumab cetirizine cetuximab chlorambucil chlorpheniramine cladribine
clemastine clindamycin clonazepam cobimetinib cyproheptadine dacarbazine daclatasvir dalbavancin dapagliflozin
daridorexant darolutamide demeclocycline desloratadine dexmedetomidine dexmethylphenidate dextromethorphan
diazepam didanosine diflunisal diphenhydramine disulfiram dolutegravir doravirine doripenem doxorubicin
doxylamine droperidol dupilumab efavirenz eltrombopag emtricitabine entacapone entecavir eprosartan eribulin
ertapenem eslicarbazepine eszopiclone etanercept ethionamide ethosuximide etoposide etravirine everolimus
exenatide ezetimibe famciclovir fenofibrate fenoprofen fidaxomicin finerenone fingolimod flavoxate flecainide
flucytosine fludrocortisone flumazenil flurazepam flurbiprofen flutamide fluticasone fluvastatin fondaparinux
fosamprenavir fosaprepitant fosfomycin fosinopril galantamine gefitinib gemcitabine gilteritinib glatiramer
glecaprevir glycopyrrolate golimumab griseofulvin hydrocortisone hydroxyurea hyoscyamine ibandronate ibrutinib
iloperidone imatinib imipenem indinavir isotretinoin isradipine istradefylline ivabradine ivacaftor labetalol
lapatinib lasmiditan leflunomide letrozole levodopa loperamide lubiprostone macitentan meclizine megestrol
melphalan memantine meperidine meropenem mesna metaxalone methadone methazolamide methyldopa methylprednisolone
metoclopramide metolazone midazolam midodrine miglitol mirtazapine misoprostol mitoxantrone modafinil moexipril
moxifloxacin nadolol nafcillin nalbuphine naldemedine nefazodone nelfinavir neomycin nevirapine nicardipine
nitazoxanide ofatumumab ofloxacin olaparib olmesartan olodaterol omadacycline oritavancin orphenadrine
osimertinib oxandrolone oxybutynin palbociclib pazopanib pemetrexed penicillamine phenelzine phentermine
piroxicam pitavastatin plazomicin pralidoxime praziquantel primidone propafenone propofol pyrimethamine
rasagiline remdesivir repaglinide reserpine ribavirin rifaximin risankizumab ritonavir rituximab roflumilast
rosiglitazone rufinamide ruxolitinib saxagliptin selegiline selexipag sevelamer silodosin siponimod sofosbuvir
solifenacin solriamfetol sonidegib stavudine streptomycin sucralfate sulfasalazine sumatriptan sunitinib
suvorexant tadalafil tafamidis tamoxifen tapentadol tedizolid tenofovir theophylline thioridazine tiagabine
tigecycline tiotropium tipranavir tirofiban tobramycin tolbutamide tolterodine tolvaptan trandolapril
triamcinolone triamterene trimipramine trospium ulipristal upadacitinib ursodiol ustekinumab valganciclovir
vandetanib varenicline vedolizumab vemurafenib vinblastine vismodegib vorapaxar vorinostat vortioxetine
zafirlukast zaleplon zanamivir zileuton zoledronate
"""
_TRAINING = """
abemaciclib acebutolol acitretin adalimumab adefovir albendazole alirocumab almotriptan alogliptin alosetron
alprostadil amantadine amiloride aminophylline amisulpride amoxapine anagrelide anastrozole aprepitant
aripiprazole asenapine atomoxetine avanafil axitinib azelastine baricitinib belimumab benazepril bendamustine
benzonatate benztropine betaxolol bevacizumab bicalutamide bisacodyl bivalirudin bleomycin bosentan bosutinib
brexpiprazole brimonidine brivaracetam bromocriptine buprenorphine cabergoline calcitriol canagliflozin
cangrelor captopril carbidopa carboplatin carisoprodol caspofungin cefaclor cefadroxil cefdinir cefepime
cefotaxime cefprozil ceftazidime chlordiazepoxide chloroquine chlorpromazine cholestyramine cilostazol
cimetidine cinacalcet cisplatin clevidipine clobazam clomiphene clomipramine clorazepate clotrimazole clozapine
colesevelam crizotinib cyclophosphamide cytarabine dabrafenib dalfampridine dalteparin dantrolene dapsone
daptomycin darifenacin darunavir dasatinib daunorubicin deferasirox deferoxamine delafloxacin denosumab
desipramine desmopressin desogestrel desvenlafaxine deutetrabenazine dexamethasone dexlansoprazole diazoxide
diclofenac dicloxacillin dicyclomine dimenhydrinate dipyridamole disopyramide docetaxel dofetilide donepezil
dorzolamide doxepin dronedarone drospirenone droxidopa dulaglutide dutasteride edaravone edoxaban elagolix
eletriptan eluxadoline enalapril encorafenib enzalutamide epirubicin epoprostenol eravacycline erdafitinib
erenumab ergotamine erlotinib ertugliflozin erythromycin esketamine esmolol esomeprazole estradiol ethacrynate
ethambutol etodolac evolocumab exemestane febuxostat felbamate felodipine fenfluramine fentanyl fesoterodine
fexofenadine filgrastim flibanserin fludarabine flunisolide fluphenazine formoterol fosphenytoin fostamatinib
fremanezumab frovatriptan fulvestrant galcanezumab ganciclovir glimepiride guaifenesin guanfacine guselkumab
haloperidol hydralazine hydromorphone hydroxychloroquine hydroxyzine ibutilide idarubicin idelalisib ifosfamide
imipramine inclisiran indapamide indomethacin infliximab ipratropium irbesartan irinotecan isavuconazole
isoniazid ivermectin ixabepilone ixekizumab ketamine ketoconazole ketoprofen ketotifen lacosamide lactulose
lamivudine lansoprazole lefamulin lemborexant lenalidomide lenvatinib letermovir leuprolide levalbuterol
levocarnitine levocetirizine levomilnacipran linaclotide linagliptin liothyronine liraglutide lisdexamfetamine
lofexidine lomitapide lopinavir loratadine lorlatinib loteprednol lovastatin loxapine lumateperone lurasidone
maraviroc mavacamten mebendazole medroxyprogesterone mefloquine mepolizumab meprobamate mercaptopurine
mesalamine methenamine methimazole methocarbamol methsuximide methylnaltrexone methylphenidate mexiletine
micafungin mifepristone miglustat milnacipran minocycline minoxidil mirabegron mitomycin molindone mometasone
mupirocin mycophenolate nabumetone naloxegol naltrexone naratriptan natalizumab nateglinide nebivolol
neostigmine niacin nilotinib nilutamide nimodipine nintedanib niraparib nisoldipine nitisinone nitroprusside
nizatidine norethindrone nystatin octreotide olanzapine omalizumab opicapone orlistat oseltamivir oxacillin
oxaprozin oxazepam oxymorphone oxytocin paclitaxel paliperidone palonosetron pamidronate pancuronium pentamidine
pentazocine pentoxifylline perampanel perindopril perphenazine phenobarbital phenylephrine pilocarpine
pimavanserin pimozide pindolol pirfenidone ponatinib posaconazole pramipexole prazosin pretomanid primaquine
probenecid procainamide procarbazine prochlorperazine progesterone promethazine propantheline propylthiouracil
protriptyline prucalopride pseudoephedrine pyrazinamide pyridostigmine quinapril quinidine rabeprazole
raloxifene raltegravir ramelteon ranolazine regorafenib ribociclib rifabutin rifapentine rilpivirine riluzole
rimegepant riociguat risdiplam risedronate risperidone rivastigmine rizatriptan romidepsin ropinirole rucaparib
sacubitril safinamide salmeterol saquinavir sarecycline sarilumab secukinumab sirolimus sorafenib sulfadiazine
sulindac tasimelteon tazarotene tegaserod telavancin telmisartan temazepam temozolomide terazosin terbinafine
terbutaline teriflunomide teriparatide tetrabenazine thalidomide thioguanine thiothixene ticarcillin timolol
tinidazole tirzepatide tocilizumab tofacitinib tolcapone topotecan toremifene trametinib tranylcypromine
treprostinil triazolam trifluoperazine trihexyphenidyl ubrogepant umeclidinium valacyclovir valbenazine
vardenafil venetoclax vericiguat vigabatrin vilanterol vilazodone vincristine vinorelbine zidovudine ziprasidone
zolmitriptan zonisamide
"""
EXAM_NAMES: tuple[str, ...] = tuple(_EXAM.split())  # S4: real, outside the knowledge base, in no corpus
TRAINING_NAMES: tuple[str, ...] = tuple(
    _TRAINING.split()
)  # real, outside the knowledge base: abstention is learned on these

# Training's inventions: made-up beginnings before a stem that pharmacists know, so that "-statin" alone proves nothing.
_SYLLABLES = """
bra ce dor fa gli hal jo kel lu mav nor ola per qui ros sel tam ur val wex xan yor zem bel cid dap eft fen gan hep ivo lan met
nab oxi pra ral sul tor var zol amo bis cal den ero fil gem hyd ine kar lev mon nit
"""
_ONSETS = "b bl br c ch d dr f fl g gl gr h j k l m n p ph pl pr qu r s sc sh sl sp st t th tr v w x y z"
_VOWELS = "a e i o u ae ai au ea ee eo ia ie io oa oi oo ou"
_CLOSINGS = "b c d f g l ll m n nd nt r rm s st t x z ide ine in ol um us a o e"
_STEMS = """
statin pril sartan olol dipine azole cillin floxacin mycin cycline oxaban grel gliptin gliflozin formin tidine prazole setron
triptan azepam barbital caine curium dronate fenac fibrate lukast mab nib oxetine parin profen quine ridone semide tecan terol
thiazide vir zosin amide dol pine tant xine zone
"""

# The exam's: other beginnings, other endings.
_EXAM_SYLLABLES = "ash bru cly dwe eki fri gho hux ikt jav klo lyr moq nuv opt phy ruz ska tyv uwe vry wob xil yth zhu"
_EXAM_ENDINGS = "ova emir andol uzin ixate orphen elast umide ytrel oquin agene ithrin ubex ofol estat arone ovan igrel"

Family = Literal["training", "exam"]


def training_inventions(seed: int, count: int, known: Iterable[str]) -> list[str]:
    """`count` invented names for training: stems on made-up beginnings, halves of two known names joined, and any letters.

    None lies within two letters of a `known` name, so that a misspelt known drug is still that drug.
    """
    names = sorted(name for name in known if name.isalpha() and len(name) > 5)
    rng = stream(seed, "invented", "training")
    syllables, stems = _SYLLABLES.split(), _STEMS.split()
    onsets, vowels, closings = _ONSETS.split(), _VOWELS.split(), _CLOSINGS.split()

    def invent() -> str:
        kind = rng.random()
        if kind < 0.25:  # like nothing: what a name is made of must not tell whether it is known
            parts = [rng.choice(onsets) + rng.choice(vowels) for _ in range(rng.choice((1, 2, 2, 3)))]
            return "".join(parts) + rng.choice(closings)
        if len(names) > 1 and kind < 0.5:  # halves of known names: the hardest to tell from real ones
            left, right = rng.sample(names, 2)
            return left[: rng.randint(3, len(left) - 2)] + right[-rng.randint(3, len(right) - 2) :]
        return "".join(rng.sample(syllables, rng.choice((1, 1, 2)))) + rng.choice(stems)

    return _collect(invent, count, known, {*TRAINING_NAMES, *EXAM_NAMES})


def exam_inventions(count: int, known: Iterable[str]) -> list[str]:
    """`count` invented names for S5: the same whatever the run's seed."""
    rng = stream(0, "invented", "exam")
    syllables, endings = _EXAM_SYLLABLES.split(), _EXAM_ENDINGS.split()

    def invent() -> str:
        return "".join(rng.sample(syllables, rng.choice((1, 1, 2)))) + rng.choice(endings)

    return _collect(invent, count, known, {*TRAINING_NAMES, *EXAM_NAMES})


def typo(name: str, rng: random.Random, family: Family) -> str:
    """`name` with one slip: two letters swapped, one dropped or one doubled. The families share no misspelling.

    Returns `name` itself where it is too short or no slip of that family turns up.
    """
    for _ in range(20):
        at = rng.randrange(1, len(name) - 1) if len(name) > 4 else 0
        if not at or not name[at : at + 2].isalpha():
            continue
        slip = rng.randrange(3)
        if slip == 0:
            wrong = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
        else:
            wrong = name[:at] + name[at + 1 :] if slip == 1 else name[:at] + name[at] + name[at:]
        if wrong != name and (unit("typo", wrong) < 0.5) == (family == "training"):
            return wrong
    return name


def _collect(invent: Callable[[], str], count: int, known: Iterable[str], taken: set[str]) -> list[str]:
    near = {cut for name in known for cut in _cuts(name)}
    out: dict[str, None] = {}
    for _ in range(100 * count):
        if len(out) == count:
            break
        name = invent()
        if len(name) > 4 and name not in taken and near.isdisjoint(_cuts(name)):
            out[name] = None
    return list(out)


def _cuts(name: str) -> set[str]:
    """A name with up to two letters left out: two names within two slips of each other share one."""
    once = {name[:i] + name[i + 1 :] for i in range(len(name))}
    return {name} | once | {cut[:i] + cut[i + 1 :] for cut in once for i in range(len(cut))}

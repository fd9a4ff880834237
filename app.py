"""Strata's router: one page per question, in the order in which the questions are asked."""

from pathlib import Path

import streamlit as st

from analysis.i18n import N_
from pages.ui.language import speak, words

st.set_page_config(page_title="Strata", page_icon=":material/layers:", layout="wide")
st.logo("pages/ui/logo.svg", size="medium")
speak()
t = words()

# Name of the page -> its title, its icon, and its one question.
QUESTIONS = {
    "overview": (N_("Overview"), "home", N_("The newest run in one sentence, and all stored runs and plans.")),
    "workload": (N_("Workload"), "list_alt", N_("Choose a model and its work, see what would run, and measure it.")),
    "similarity": (N_("Similarity"), "grid_on", N_("What every layer changes, and what it leaves alike.")),
    "plans": (N_("Plans"), "layers", N_("Which layers to take out, why, and what that should save.")),
    "consensus": (N_("Consensus"), "how_to_vote", N_("Which layers most measures call replaceable, and what is lost with each.")),
    "freeze": (N_("Freeze"), "ac_unit", N_("Which layers a fine-tune may leave as they are, and why.")),
    "verify": (N_("Verify"), "fact_check", N_("The plan beside the original, held against your limits.")),
    "trials": (N_("Trials"), "model_training", N_("A freeze plan tried by a short training.")),
    "roi": (N_("ROI"), "payments", N_("What a plan saves and costs in money, how sure that is, and on what it rests.")),
    "briefing": (N_("Briefing"), "description", N_("One page for those who decide, ready to print.")),
    "stages": (N_("Stages"), "stairs", N_("Into use step by step, each step with its limits and a way back.")),
}
PAGES = {
    name: st.Page(f"pages/{name}.py", title=t(title), icon=f":material/{icon}:", default=name == "overview", help=t(question))
    for name, (title, icon, question) in QUESTIONS.items()
    if (Path(__file__).parent / "pages" / f"{name}.py").is_file()  # pages that are not built yet do not appear
}
GROUPS = {
    "": ("overview",),
    t("Profile"): ("workload", "similarity"),
    t("Plan"): ("plans", "consensus", "freeze"),
    t("Verify"): ("verify", "trials"),
    t("Business case"): ("roi", "briefing"),
    t("Roll out"): ("stages",),
}
shown = {group: [PAGES[name] for name in names if name in PAGES] for group, names in GROUPS.items()}
page = st.navigation({group: pages for group, pages in shown.items() if pages}, position="top")
# A fresh server that is first visited by a deep link runs the page without this file (Streamlit finds pages/ by
# itself); the page then leaves its name and parameters in `goto` and comes here.
st.session_state.ready = True
if goto := st.session_state.pop("goto", None):
    st.switch_page(PAGES[goto[0]], query_params=goto[1])
page.run()

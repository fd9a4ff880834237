"""Strata's router: one page per question, in the order in which the questions are asked."""

import streamlit as st

from pages.ui.language import speak, words

st.set_page_config(page_title="Strata", page_icon=":material/layers:", layout="wide")
st.logo("pages/ui/logo.svg", size="medium")
speak()
t = words()

PAGES = {
    "overview": st.Page(
        "pages/overview.py",
        title=t("Overview"),
        icon=":material/home:",
        default=True,
        help=t("The newest run in one sentence, and all stored runs and plans."),
    ),
    "workload": st.Page(
        "pages/workload.py",
        title=t("Workload"),
        icon=":material/list_alt:",
        help=t("Choose a model and its work, see what would run, and measure it."),
    ),
    "similarity": st.Page(
        "pages/similarity.py",
        title=t("Similarity"),
        icon=":material/grid_on:",
        help=t("What every layer changes, and what it leaves alike."),
    ),
    "plans": st.Page(
        "pages/plans.py", title=t("Plans"), icon=":material/layers:", help=t("Which layers to take out, why, and what that should save.")
    ),
    "freeze": st.Page(
        "pages/freeze.py", title=t("Freeze"), icon=":material/ac_unit:", help=t("Which layers a fine-tune may leave as they are, and why.")
    ),
    "verify": st.Page(
        "pages/verify.py",
        title=t("Verify"),
        icon=":material/fact_check:",
        help=t("The plan beside the original, held against your limits."),
    ),
    "trials": st.Page(
        "pages/trials.py", title=t("Trials"), icon=":material/model_training:", help=t("A freeze plan tried by a short training.")
    ),
}
page = st.navigation(
    {
        "": [PAGES["overview"]],
        t("Profile"): [PAGES["workload"], PAGES["similarity"]],
        t("Plan"): [PAGES["plans"], PAGES["freeze"]],
        t("Verify"): [PAGES["verify"], PAGES["trials"]],
    },
    position="top",
)
# A fresh server that is first visited by a deep link runs the page without this file (Streamlit finds pages/ by
# itself); the page then leaves its name and parameters in `goto` and comes here.
st.session_state.ready = True
if goto := st.session_state.pop("goto", None):
    st.switch_page(PAGES[goto[0]], query_params=goto[1])
page.run()

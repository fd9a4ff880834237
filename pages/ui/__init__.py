"""All that knows Streamlit: session, language, page frame, evidence, job progress, charts on screen."""

"""What people look at of trained models: numbers with errors and figures of one (`evaluate`), or of several (`compare`)."""

from vae.reports.comparing import Comparison as Comparison
from vae.reports.comparing import compare as compare
from vae.reports.detecting import detect as detect
from vae.reports.evaluation import Report as Report
from vae.reports.evaluation import evaluate as evaluate
from vae.reports.figures import figures_of as figures_of
from vae.reports.writing import write_results as write_results

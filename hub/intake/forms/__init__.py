"""Entry forms as data: what a department's clerk fills in by hand, and how that becomes an event.

For a portal: it draws a form from ``describe_form``, and hands what was filled in to ``FormDesk.submit``.
"""

from hub.intake.forms.description import GIVEN, Form, FormField, describe_form
from hub.intake.forms.desk import FormDesk
from hub.intake.forms.filled import Filled, read_filled

__all__ = ["GIVEN", "Filled", "Form", "FormDesk", "FormField", "describe_form", "read_filled"]

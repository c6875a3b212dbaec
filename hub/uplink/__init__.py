"""The uplink: what departments made of tasks that came from above goes back up to where they came from.

This module is what a connector with a way back up imports beside the SDK of intake: it turns a ``LeadAnswer`` into
a request of its platform and that platform's words into a ``Receipt``. Which event becomes which answer, order,
repeats and the record of how each ended are the stage's work (``hub.uplink.stage``).
"""

from hub.domain.retry import REFUSING_STATUSES
from hub.uplink.answer import Exchange, LeadAnswer, Receipt, UnclearAnswerError, Uplink

__all__ = ["REFUSING_STATUSES", "Exchange", "LeadAnswer", "Receipt", "UnclearAnswerError", "Uplink"]

"""For developers: ``python -m hub.embedded.relock`` resolves Kafka's jars anew and rewrites the lock.

Change ``ROOTS``, run it, start the tests of ``hub.embedded``; the difference is reviewed like code.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.maven import MavenContext

from hub.embedded.jars import LOCK_FILE

#: kafka-clients is named beside kafka_2.13 because the resolver otherwise picks an older one.
ROOTS = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    "org.apache.kafka:kafka-clients:4.3.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.2",
    "org.apache.logging.log4j:log4j-core:2.25.2",
    "org.apache.logging.log4j:log4j-api:2.25.2",
)

#: Named in the POMs, yet no class of them is loaded by a broker: the compiler's half of Scala, and the
#: XML half of commons-validator (Kafka uses its address check only). 5 MB less to fetch.
UNUSED = frozenset(
    {"scala-reflect", "commons-beanutils", "commons-collections", "commons-digester", "commons-logging"}
)

HEADING = """\
# The jars of the embedded Kafka: group:artifact:version[:classifier] sha256
# Written by `python -m hub.embedded.relock`; not edited by hand.
"""


def main() -> None:
    """Resolve ``ROOTS``, hash what comes, write ``kafka-jars.lock``."""
    with tempfile.TemporaryDirectory() as folder:
        mirrors = GlobalSettings.load().repositories
        context = MavenContext(repo_cache=Path(folder), remote_repos=mirrors or None)
        roots, others = context.resolver.resolve([context.create_dependency(root) for root in ROOTS])
        lines = []
        for dependency in (*roots, *others):
            if dependency.artifactId not in UNUSED:
                parts = (dependency.groupId, dependency.artifactId, dependency.version, dependency.classifier)
                digest = hashlib.sha256(dependency.artifact.resolve().read_bytes()).hexdigest()
                lines.append(f"{':'.join(filter(None, parts))} {digest}\n")
    LOCK_FILE.write_text(HEADING + "".join(sorted(lines)), "ascii")
    print(f"{LOCK_FILE.name}: {len(lines)} jars")


if __name__ == "__main__":
    main()

#include "updater/release/changes.h"

#include "tests/fuzz/fuzz.h"
#include "updater/release/debian_version.h"

using namespace hostos;

FUZZ(changes, input) {
  const Result<ReleaseChanges> changes = ParseChanges(input);
  if (!changes) return;
  const std::string text = WriteChanges(*changes);
  const Result<ReleaseChanges> again = ParseChanges(text);
  PROMISE(again && WriteChanges(*again) == text);
  // Nothing is between a release and itself, and what is between others has names that can be
  // printed.
  PROMISE(CompareChanges(*changes, *changes).fixed.empty());
  ReleaseChanges older = *changes;
  for (SourceChanges& source : older.sources) source.version = "0~";
  for (const CveChange& change : CompareChanges(older, *changes).fixed) {
    PROMISE(IsDebianName(change.source) && !change.cves.empty());
    for (const std::string& cve : change.cves) PROMISE(IsCve(cve));
  }
}

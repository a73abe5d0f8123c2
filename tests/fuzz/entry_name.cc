#include "bootctl/entry_name.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(entry_name, input) {
  const std::optional<EntryName> name = ParseEntryName(input);
  if (!name) return;
  const std::string again = FormatEntryName(name->stem, name->tries);
  const std::optional<EntryName> parsed = ParseEntryName(again);
  PROMISE(parsed && parsed->stem == name->stem && parsed->tries == name->tries);
  (void)IsReleaseStem(name->stem);
  (void)IsReleaseFile(input);
}

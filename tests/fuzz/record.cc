#include "updater/engine/record.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(record, input) {
  RoundTrips(input, RecordFromJson);
  const std::string salvaged = ToJson(SalvageRecord(input));
  PROMISE(RecordFromJson(salvaged));
}

#include "updater/engine/record.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(input) {
  const Result<Record> record = RecordFromJson(input);
  if (!record) return;
  const std::string text = ToJson(*record);
  const Result<Record> again = RecordFromJson(text);
  PROMISE(again && ToJson(*again) == text);
}

#include "updater/engine/verification.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/engine/fill.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"

using namespace hostos;

namespace {

// What is known of a slot, and the number of problems.
std::pair<std::optional<Verification>, size_t> Known(const StateDir& state, Slot slot,
                                                     const Digest& root_hash) {
  std::vector<std::string> problems;
  std::optional<Verification> known = ReadVerification(state, slot, root_hash, problems);
  return {known, problems.size()};
}

}  // namespace

TEST_CASE("a verification is told of the slot and the root hash it was of, and of no other") {
  TempDir dir;
  const StateDir state(dir.path(), dir / "run");
  CHECK_FALSE(Known(state, Slot::A, Fill(1)).first);
  REQUIRE(SaveVerification(state, Slot::A, {7, Fill(1), "block 12 \xff"}));
  const Verification read = Known(state, Slot::A, Fill(1)).first.value();
  CHECK(read.time == 7);
  CHECK_FALSE(read.proven());
  CHECK(read.problem == "block 12 \xEF\xBF\xBD");
  CHECK_FALSE(Known(state, Slot::A, Fill(2)).first);
  CHECK_FALSE(Known(state, Slot::B, Fill(1)).first);
  REQUIRE(ForgetVerification(state, Slot::A));
  CHECK_FALSE(Known(state, Slot::A, Fill(1)).first);
  CHECK(Known(state, Slot::A, Fill(1)).second == 0);
  REQUIRE(ForgetVerification(state, Slot::A));
}

TEST_CASE(
    "a verification that is damaged is none and is named, one that is not understood is none") {
  TempDir dir;
  const StateDir state(dir.path(), dir / "run");
  const std::string good = ToJson(Verification{7, Fill(1), ""});
  const auto changed = [&](std::string_view from, std::string_view to) {
    return std::string(good).replace(good.find(from), from.size(), to);
  };
  const std::string later = changed("\"format\": 1", "\"format\": 2, \"blocks\": [1]");
  const struct {
    std::string text;
    bool known;
    size_t problems;
  } cases[] = {{good, true, 0},
               {later, true, 0},
               {"{", false, 1},
               {"{}", false, 1},
               {"[" + good + "]", false, 1},
               {changed("\"time\": 7", "\"time\": -7"), false, 1},
               // Without `problem` it does not say that the slot was proven.
               {changed("\"problem\"", "\"findings\""), false, 0},
               {std::string(later).replace(later.find("\"\""), 2, "[]"), false, 0}};
  for (const auto& [text, is_known, problems] : cases) {
    CAPTURE(text);
    REQUIRE(WriteFileAtomically(dir / "verified-a.json", text));
    const auto& [known, found] = Known(state, Slot::A, Fill(1));
    CHECK(known.has_value() == is_known);
    CHECK(found == problems);
  }
}

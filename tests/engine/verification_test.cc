#include "updater/engine/verification.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/engine/fill.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"

using namespace hostos;

TEST_CASE("a verification is told of the slot and the root hash it was of, and of no other") {
  TempDir dir;
  const StateDir state(dir.path(), dir / "run");
  CHECK_FALSE(ReadVerification(state, Slot::A, Fill(1)));
  REQUIRE(SaveVerification(state, Slot::A, {7, Fill(1), "block 12 \xff"}));
  const Verification read = ReadVerification(state, Slot::A, Fill(1)).value();
  CHECK(read.time == 7);
  CHECK_FALSE(read.proven());
  CHECK(read.problem == "block 12 \xEF\xBF\xBD");
  CHECK_FALSE(ReadVerification(state, Slot::A, Fill(2)));
  CHECK_FALSE(ReadVerification(state, Slot::B, Fill(1)));
  REQUIRE(ForgetVerification(state, Slot::A));
  CHECK_FALSE(ReadVerification(state, Slot::A, Fill(1)));
  REQUIRE(ForgetVerification(state, Slot::A));
}

TEST_CASE("a verification that cannot be understood is none") {
  TempDir dir;
  const StateDir state(dir.path(), dir / "run");
  const std::string good = ToJson(Verification{7, Fill(1), ""});
  for (const std::string& text :
       {std::string("{"), std::string("{}"), "[" + good + "]",
        std::string(good).replace(good.find("\"format\": 1"), 11, "\"format\": 2")}) {
    CAPTURE(text);
    REQUIRE(WriteFileAtomically(dir / "verified-a.json", text));
    CHECK_FALSE(ReadVerification(state, Slot::A, Fill(1)));
  }
  REQUIRE(WriteFileAtomically(dir / "verified-a.json", good));
  CHECK(ReadVerification(state, Slot::A, Fill(1)));
}

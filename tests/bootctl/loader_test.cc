#include "bootctl/loader.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "bootctl/entry_name.h"

namespace hostos {
namespace {

BootEntry Entry(const std::string& file, const std::string& version,
                std::optional<std::string> sort_key = "hostos") {
  BootEntry entry;
  entry.file = file;
  entry.version = version;
  const auto suffix = file.ends_with(".conf") ? ".conf" : ".efi";
  entry.tries = ParseEntryName(file.substr(file.rfind('/') + 1), suffix)->tries;
  entry.sort_key = std::move(sort_key);
  return entry;
}

std::vector<std::string> Files(const std::vector<BootEntry>& entries) {
  std::vector<std::string> files;
  for (const BootEntry& entry : entries) files.push_back(entry.file);
  return files;
}

using Names = std::vector<std::string>;

// The order of entries whose place does not depend on where the directory has them.
void CheckOrder(std::vector<BootEntry> expected) {
  std::vector<BootEntry> entries = expected;
  std::ranges::sort(entries, {}, &BootEntry::file);
  do {
    std::vector<BootEntry> sorted = entries;
    SortAsLoader(sorted);
    REQUIRE(Files(sorted) == Files(expected));
  } while (std::ranges::next_permutation(entries, {}, &BootEntry::file).found);
}

TEST_CASE("newer versions come first, and counting does not change that") {
  CheckOrder({Entry("hostos_1.10.0_aa+3.efi", "1.10.0"), Entry("hostos_1.9.0_bb.efi", "1.9.0"),
              Entry("hostos_1.9.0~rc1_cc+2-1.efi", "1.9.0~rc1")});
}

TEST_CASE("an entry without tries left comes last, whatever its version") {
  CheckOrder({Entry("hostos_1.0.0_aa.efi", "1.0.0"), Entry("hostos_2.0.0_bb+0-3.efi", "2.0.0"),
              Entry("hostos_1.5.0_cc+0.efi", "1.5.0")});
}

TEST_CASE("the sort key comes before the version, and entries without one come after those with") {
  CheckOrder({Entry("debian.efi", "12", "debian"), Entry("hostos_1.0.0_aa.efi", "1.0.0"),
              Entry("loader/entries/zeta.conf", "", std::nullopt),
              Entry("loader/entries/alpha.conf", "9", std::nullopt)});
}

TEST_CASE("entries of one version are in descending order of their ids") {
  CheckOrder({Entry("hostos_1.0.0_bb+3.efi", "1.0.0"), Entry("hostos_1.0.0_aa.efi", "1.0.0")});
}

TEST_CASE("of two counted names of one image the one with more tries left comes first") {
  CheckOrder({Entry("x+3.efi", "1"), Entry("x+2-1.efi", "1"), Entry("x+2-2.efi", "1")});
}

TEST_CASE("a counted and an uncounted name of one image stay as the directory has them") {
  std::vector<BootEntry> counted_first = {Entry("x+3.efi", "1"), Entry("x.efi", "1")};
  SortAsLoader(counted_first);
  CHECK(Files(counted_first) == Names{"x+3.efi", "x.efi"});
  std::vector<BootEntry> blessed_first = {Entry("x.efi", "1"), Entry("x+3.efi", "1")};
  SortAsLoader(blessed_first);
  CHECK(Files(blessed_first) == Names{"x.efi", "x+3.efi"});
}

TEST_CASE("every boot of a counted entry spends a try, and none left does not stop it") {
  BootEntry entry = Entry("hostos_1.0.0_aa+2.efi", "1.0.0");
  SpendTry(entry);
  CHECK(entry.file == "hostos_1.0.0_aa+1-1.efi");
  SpendTry(entry);
  CHECK(entry.file == "hostos_1.0.0_aa+0-2.efi");
  CHECK(entry.exhausted());
  SpendTry(entry);
  CHECK(entry.file == "hostos_1.0.0_aa+0-3.efi");
  BootEntry blessed = Entry("hostos_1.0.0_aa.efi", "1.0.0");
  SpendTry(blessed);
  CHECK(blessed.file == "hostos_1.0.0_aa.efi");
}

TEST_CASE("a preference decides before the order, the strongest that matches anything") {
  std::vector<BootEntry> entries = {Entry("hostos_1.0.0_aa+0-3.efi", "1.0.0"),
                                    Entry("hostos_2.0.0_bb.efi", "2.0.0"),
                                    Entry("loader/entries/Rescue.conf", "", std::nullopt)};
  const std::vector<LoaderPreference> preferences = {
      {"first", "none*"}, {"second", "hostos_1.*"}, {"third", "rescue.conf"}};
  CHECK(OrderAsLoader(entries, preferences)->source == "second");
  // Matched without its counter, and taken although it has no tries left.
  CHECK(Files(entries) ==
        Names{"hostos_1.0.0_aa+0-3.efi", "hostos_2.0.0_bb.efi", "loader/entries/Rescue.conf"});
  CHECK(OrderAsLoader(entries, std::span(preferences).subspan(2))->source == "third");
  CHECK(entries.front().file == "loader/entries/Rescue.conf");
  CHECK(OrderAsLoader(entries, {}) == nullptr);
  CHECK(entries.front().file == "hostos_2.0.0_bb.efi");
}

TEST_CASE("an id is the name without its counter") {
  CHECK(LoaderId(Entry("hostos_1.0.0RC_aa+2-1.efi", "1")) == "hostos_1.0.0RC_aa.efi");
  CHECK(LoaderId(Entry("hostos_1.0.0RC_aa.efi", "1")) == "hostos_1.0.0rc_aa.efi");
  CHECK(LoaderId(Entry("loader/entries/x+1.conf", "1")) == "x.conf");
}

}  // namespace
}  // namespace hostos

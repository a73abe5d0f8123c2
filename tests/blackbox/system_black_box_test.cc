#include "updater/blackbox/system_black_box.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <format>

#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr auto kSecond = std::chrono::seconds(1);

// What systemd-pstore makes of a crash in this second of the kernel's clock.
struct Pstore {
  TempDir dir;
  SystemBlackBox box{{.journal = dir / "journal", .pstore = dir / "pstore", .watchdogs = ""}};

  fs::path Save(int second, const std::string& text) const {
    const std::string file = dir / std::format("pstore/17953466{}/001/dmesg.txt", second);
    WriteText(file, text);
    WriteText(dir / std::format("pstore/17953466{0}/001/dmesg-efi_pstore-17953466{0}01001", second),
              "a part of it");
    return file;
  }
};

TEST_CASE("what the kernel took seconds to save is put together again") {
  Pstore pstore;
  pstore.Save(76, "Panic#1 Part1\n[29.7] Kernel panic - not syncing: died\n");
  pstore.Save(78, "Panic#1 Part12\n[19.4] systemd[1]: older\n");
  pstore.Save(77, "Panic#1 Part3\n[29.2] device-mapper\nPanic#1 Part2\n[29.4] verity\n");
  CHECK(pstore.box.KernelDump(0) ==
        "Panic#1 Part12\n[19.4] systemd[1]: older\n"
        "Panic#1 Part3\n[29.2] device-mapper\nPanic#1 Part2\n[29.4] verity\n"
        "Panic#1 Part1\n[29.7] Kernel panic - not syncing: died\n");
}

TEST_CASE("of several crashes the last one is told") {
  Pstore pstore;
  pstore.Save(52, "Panic#1 Part1\nthe second\n");
  pstore.Save(51, "Panic#1 Part1\nthe first\n");
  CHECK(pstore.box.KernelDump(0) == "Panic#1 Part1\nthe second\n");
}

TEST_CASE("a crash from before is not told") {
  Pstore pstore;
  const fs::path old = pstore.Save(10, "Panic#1 Part1\nlong ago\n");
  const auto now = std::chrono::system_clock::now();
  fs::last_write_time(old, fs::file_time_type::clock::now() - 60 * kSecond);
  const auto since = static_cast<uint64_t>((now - 30 * kSecond).time_since_epoch() / kSecond);
  CHECK(pstore.box.KernelDump(since).empty());
  CHECK(pstore.box.KernelDump(since - 60) == "Panic#1 Part1\nlong ago\n");
}

TEST_CASE("of a long dump the end is kept, where the panic is") {
  Pstore pstore;
  pstore.Save(20, "Panic#1 Part1\n" + std::string(20000, '.') + "Kernel panic - at the end\n");
  const std::string dump = pstore.box.KernelDump(0);
  CHECK(dump.size() == 8192);
  CHECK(dump.ends_with("Kernel panic - at the end\n"));
}

}  // namespace
}  // namespace hostos

// What changes on the ESP as releases are armed, blessed and given up, and what is left alone.
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "bootctl/entry_name.h"
#include "bootctl/gpt.h"
#include "tests/bootctl/loader_fixture.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

TEST_CASE("of two names of one release the one with fewer tries counts, and blessing leaves one") {
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  CHECK(Held(f.machine.Boot()) == Slot::B);
  const std::string now = f.FileOf(f.v11, "+2-1");
  SECTION("the loader's rename was cut short") {
    f.Add(f.FileOf(f.v11, "+3"), f.v11);
  }
  SECTION("blessing was cut short") {
    f.Add(f.FileOf(f.v11, ""), f.v11);
  }
  SECTION("and its new name has no bytes") {
    WriteText(f.machine.LinuxPath(f.FileOf(f.v11, "")), "");
  }
  CHECK(f.Read().booted_entry == now);
  CHECK(f.Read().on_trial());
  CHECK(Outcome(f.machine.boot().MarkGood()) == "ok");
  CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, ""), f.FileOf(f.v11, "")});
  CHECK(f.Read().booted_entry == f.FileOf(f.v11, ""));
  CHECK_FALSE(f.Read().on_trial());
}

TEST_CASE("of two names of one release both go when it is marked bad or invalidated") {
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  f.Add(f.FileOf(f.v11, "+2-1"), f.v11);
  SECTION("marked bad") {
    CHECK(Outcome(f.machine.boot().MarkBad(Slot::B)) == "ok");
    CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, ""), f.FileOf(f.v11, "+0-1")});
  }
  SECTION("invalidated") {
    CHECK(Outcome(f.machine.boot().Invalidate(Slot::B)) == "ok");
    CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, "")});
  }
}

TEST_CASE("the rescue system boots after the releases with tries, and before those without") {
  LoaderFixture f;
  fs::copy_file(TestImage("rescue").path, f.machine.LinuxPath(std::string(kRescueFile)));
  CHECK(f.Read().esp.unknown.empty());
  CHECK(f.Read().next() == Slot::A);
  CHECK(Outcome(f.machine.boot().MarkBad(Slot::A)).contains("no other entry has tries left"));
  CHECK(Outcome(f.machine.boot().MarkIndeterminate(Slot::A, 1)) == "ok");
  f.machine.broken.insert(f.v10.release.root_hash);
  CHECK_FALSE(f.machine.Boot());
  CHECK(f.Read().entries.front().file == kRescueFile);
  CHECK(f.Read().next() == std::nullopt);
}

TEST_CASE("a rescue that the medium spoiled, or a crash emptied, is written again") {
  LoaderFixture f;
  const TestImage rescue("rescue"), newer("rescue-2");
  const std::string file = RescueFile(newer.rescue().digest);
  fs::copy_file(rescue.path, f.machine.LinuxPath(std::string(kRescueFile)));
  SECTION("one byte") {
    fs::copy_file(newer.path, f.machine.LinuxPath(file));
    std::fstream bytes(f.machine.LinuxPath(file), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(-1, std::ios::end);
    bytes.put('?');
  }
  SECTION("nothing in it") {
    WriteText(f.machine.LinuxPath(file), "");
  }
  SECTION("cut off, and half of another that was being written") {
    fs::copy_file(newer.path, f.machine.LinuxPath(file));
    fs::resize_file(f.machine.LinuxPath(file), newer.rescue().size / 2);
    WriteText(f.machine.LinuxPath("hostos-rescue_0123456789abcdef.efi.tmp"), "MZ");
  }
  CHECK(f.Read().esp.unknown.empty());
  REQUIRE(Outcome(f.machine.boot().SetRescue(newer.rescue(), newer.fd.get())) == "ok");
  CHECK(Held(f.machine.boot().HashRescue()) == newer.rescue().digest);
  CHECK(f.machine.Files() == Strings{file, f.FileOf(f.v10, "")});
}

TEST_CASE("the rescue system keeps one slot, and makes the other boot next") {
  LoaderFixture f;
  fs::copy_file(TestImage("rescue").path, f.machine.LinuxPath(std::string(kRescueFile)));
  REQUIRE(Outcome(f.Arm(f.v11)) == "ok");
  for (Slot slot : {Slot::A, Slot::B})
    REQUIRE(Outcome(f.machine.boot().MarkIndeterminate(slot, 0)) == "ok");
  f.SetVariable("LoaderEntrySelected", std::string(kRescueFile));
  fs::remove_all(f.machine / "sys");  // no slot is under "/"
  SystemdBootOptions options = f.machine.options();
  options.rescues = Slot::B;
  SystemdBoot rescue(options);
  CHECK(CodeOf(rescue.Read()) == Code::kNotSupported);
  WriteText(options.command_line, "panic=5 hostos.rescue\n");

  BootState state = Held(rescue.Read());
  CHECK_FALSE(state.release());
  CHECK(state.staying() == Slot::A);
  CHECK(state.booted_entry == kRescueFile);
  CHECK_FALSE(state.on_trial());
  CHECK(state.next() == std::nullopt);
  CHECK(Held(rescue.HashImage(Slot::B)) == f.v11.release.uki_digest);
  CHECK(CodeOf(rescue.Invalidate(Slot::A)) == Code::kNotSupported);
  SECTION("with its tries back") {
    CHECK(Outcome(rescue.MarkIndeterminate(Slot::B, 3)) == "ok");
  }
  SECTION("written again") {
    CHECK(Outcome(rescue.Invalidate(Slot::B)) == "ok");
    CHECK(CodeOf(rescue.HashImage(Slot::B)) == Code::kNotFound);
    CHECK(Outcome(rescue.Arm(Slot::B, f.v11.release, f.v11.fd.get(), 3)) == "ok");
  }
  CHECK(Held(rescue.Read()).next() == Slot::B);
}

TEST_CASE("an entry lost in a power cut is told by bless") {
  LoaderFixture f;
  fs::remove(f.machine.LinuxPath(f.FileOf(f.v10, "")));
  CHECK(f.Read().booted_entry == "");
  CHECK(f.Read().next() == std::nullopt);
  CHECK(CodeOf(f.machine.boot().MarkGood()) == Code::kNotFound);
}

TEST_CASE("what a crash left behind goes with the next change of the other slot") {
  LoaderFixture f;
  f.Add(TemporaryName(ReleaseStem("1.2.0", f.v12.release.root_hash)), f.v12);
  f.Add(f.FileOf(f.v12, "+3"), f.v12);  // its slot is gone: it would boot into nothing
  WriteText(f.machine.LinuxPath("hostos_1.3.0_00000000+3.efi"), "");
  f.Add("hostos_1.4.0_00000000.efi", f.v12);
  fs::resize_file(f.machine.LinuxPath("hostos_1.4.0_00000000.efi"), f.v12.release.uki_size - 1);
  WriteText(f.machine.LinuxPath("theirs.txt"), "x");
  SECTION("invalidating") {
    CHECK(Outcome(f.machine.boot().Invalidate(Slot::B)) == "ok");
    CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, ""), "theirs.txt"});
  }
  SECTION("arming") {
    CHECK(Outcome(f.Arm(f.v11)) == "ok");
    CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, ""), f.FileOf(f.v11, "+3"), "theirs.txt"});
  }
}

TEST_CASE("temporary files go, and nothing that bears the name of an entry") {
  LoaderFixture f;
  f.Add(TemporaryName(ReleaseStem("1.2.0", f.v12.release.root_hash)), f.v12);
  WriteText(f.machine.LinuxPath(TemporaryName(ReleaseStem("1.1.0", f.v11.release.root_hash))), "");
  WriteText(f.machine.LinuxPath("hostos_1.3.0_00000000+3.efi"), "no image");
  for (int twice = 0; twice < 2; twice++) {
    CHECK(Outcome(f.machine.boot().RemoveTemporaries()) == "ok");
    CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, ""), "hostos_1.3.0_00000000+3.efi"});
  }
}

TEST_CASE(
    "one root hash in both slots leaves the next slot open, and invalidating spares the entry") {
  LoaderFixture f;
  REQUIRE(SetSlotIdentity(f.machine.disk(), Slot::B, SlotIdentity::OfRelease(f.v10.release)));
  CHECK(f.Read().staying() == Slot::A);
  CHECK(f.Read().next() == std::nullopt);
  CHECK(Outcome(f.machine.boot().Invalidate(Slot::B)) == "ok");
  CHECK(f.Read().next() == Slot::A);
  CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, "")});
}

TEST_CASE("a release of another architecture, or with a name too long, is refused") {
  LoaderFixture f;
  Release release = f.v11.release;
  release.architecture = "arm64";
  CHECK(CodeOf(f.machine.boot().Arm(Slot::B, release, f.v11.fd.get(), 3)) == Code::kNotSupported);
  CHECK(f.Read().slot(Slot::B).label == "_empty");
}

// A tmpfs in place of the machine's ESP, with the same files.
class MountedEsp {
 public:
  MountedEsp(const DiskMachine& machine, const std::string& options)
      : path_(machine.options().esp) {
    const std::string copy = machine / "copy";
    fs::rename(path_, copy);
    fs::create_directory(path_);
    REQUIRE(::mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0);
    fs::copy(copy, path_, fs::copy_options::recursive);
  }
  MountedEsp(const MountedEsp&) = delete;
  MountedEsp& operator=(const MountedEsp&) = delete;
  ~MountedEsp() { (void)::umount2(path_.c_str(), MNT_DETACH); }

  void MakeReadOnly() {
    REQUIRE(::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  }

 private:
  std::string path_;
};

TEST_CASE("a full ESP is told before anything changes, with the files HostOS does not know") {
  LoaderFixture f;
  const uint64_t size = 2 * f.v10.release.uki_size + (256 << 10);
  MountedEsp mounted(f.machine, std::format("size={}", size));
  WriteText(f.machine.options().esp + "/EFI/old/vmlinuz", std::string(f.v10.release.uki_size, 'k'));
  const Result<> armed = f.Arm(f.v11);
  CHECK(CodeOf(armed) == Code::kNoSpace);
  CHECK(Outcome(armed).starts_with("not enough space on the ESP for 1.1.0: needs "));
  CHECK(Outcome(armed).contains("(" + f.machine.options().esp + ").\nNothing was changed. "));
  CHECK(Outcome(armed).contains("Files there that HostOS does not know: EFI/old/vmlinuz ("));
  CHECK(f.Read().slot(Slot::B).label == "_empty");
  CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, "")});

  fs::remove(f.machine.options().esp + "/EFI/old/vmlinuz");
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  // What arming frees counts: the release it replaces need not fit beside the new one.
  CHECK(Outcome(f.Arm(f.v12)) == "ok");
  CHECK(f.machine.Files() == Strings{f.FileOf(f.v10, ""), f.FileOf(f.v12, "+3")});
}

TEST_CASE("on a read-only ESP every change is refused and nothing changes") {
  LoaderFixture f;
  CHECK(Outcome(f.Arm(f.v11)) == "ok");
  CHECK(Held(f.machine.Boot()) == Slot::B);
  MountedEsp mounted(f.machine, "size=64m");
  mounted.MakeReadOnly();
  CHECK(Outcome(f.machine.boot().MarkGood()).contains("Read-only file system"));
  CHECK(Outcome(f.machine.boot().MarkBad(Slot::B)).contains("Read-only file system"));
  CHECK(Outcome(f.machine.boot().Invalidate(Slot::A)).contains("Read-only file system"));
  const Result<> armed = f.machine.boot().Arm(Slot::A, f.v12.release, f.v12.fd.get(), 3);
  CHECK(Outcome(armed).contains("mounted read-only. Nothing was changed."));
  CHECK(f.Read().slot(Slot::A).root_hash == f.v10.release.root_hash);
  CHECK(f.Read().booted_entry == f.FileOf(f.v11, "+2-1"));
}

}  // namespace

}  // namespace hostos

// The process killed, or power cut, at every system call with which SystemdBoot and libfdisk change
// a disk. This program's own write, fsync, rename and so on stand before the C library's: in a
// child they count, and end it at the call the test chose.
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <functional>
#include <set>

#include "bootctl/entry_name.h"
#include "bootctl/esp.h"
#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace fs = std::filesystem;

namespace {

enum class Ending {
  kKilled,     // everything written so far is there
  kPowerCut,   // names are as they were at the last sync of the directory
  kTornWrite,  // as killed, with half of the write that was under way
};

constexpr int kCutShort = 77, kNotSynchronous = 78;

struct Interception {
  bool active = false;
  size_t left = 0;  // calls until the end
  Ending ending = Ending::kKilled;
  std::string esp, synced, disk;
  std::set<int> lost;  // writes to the disk, from 1, that it says it did and did not
  int disk_writes = 0;
} g;

template <class... Args>
long Call(long number, Args... args) {
  return ::syscall(number, args...);
}

// What is on the medium for certain: the ESP as it is now.
void Snapshot() {
  g.active = false;
  fs::remove_all(g.synced);
  fs::copy(g.esp, g.synced, fs::copy_options::recursive);
  g.active = true;
}

[[noreturn]] void End() {
  g.active = false;
  if (g.ending == Ending::kPowerCut) {
    fs::remove_all(g.esp);
    fs::copy(g.synced, g.esp, fs::copy_options::recursive);
  }
  ::_exit(kCutShort);
}

// Is this the call to end at?
bool Counted() {
  return g.active && g.left-- == 1;
}

bool IsDisk(int fd) {
  char path[4096];
  const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
  return n > 0 && std::string_view(path, static_cast<size_t>(n)) == g.disk;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
  if (!g.lost.empty() && IsDisk(fd) && g.lost.contains(++g.disk_writes))
    return ::lseek(fd, static_cast<off_t>(size), SEEK_CUR) < 0 ? -1 : static_cast<ssize_t>(size);
  if (fd > 2 && g.active) {
    // The order of the table's copies on the medium is the order of the writes only with O_SYNC.
    if (IsDisk(fd) && (::fcntl(fd, F_GETFL) & O_SYNC) != O_SYNC) ::_exit(kNotSynchronous);
    if (Counted()) {
      if (g.ending == Ending::kTornWrite) Call(SYS_write, fd, data, size / 2);
      End();
    }
  }
  return Call(SYS_write, fd, data, size);
}

int fsync(int fd) {
  if (Counted()) End();
  const long result = Call(SYS_fsync, fd);
  if (g.active && !IsDisk(fd)) Snapshot();
  return static_cast<int>(result);
}

int syncfs(int fd) noexcept {
  if (Counted()) End();
  const long result = Call(SYS_syncfs, fd);
  if (g.active) Snapshot();
  return static_cast<int>(result);
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) noexcept {
  if (Counted()) End();
  return static_cast<int>(Call(SYS_renameat2, from_directory, from, to_directory, to, flags));
}

int unlinkat(int directory, const char* path, int flags) noexcept {
  if (Counted()) End();
  return static_cast<int>(Call(SYS_unlinkat, directory, path, flags));
}

}  // extern "C"

namespace hostos {
namespace {

// Runs `verb` in a child that ends at its `call`th call; false when it was done before.
bool CutShort(DiskMachine& machine, size_t call, Ending ending,
              const std::function<Result<>()>& verb) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    g.esp = machine.options().esp;
    g.synced = machine / "synced";
    g.disk = machine.disk();
    g.ending = ending;
    g.left = call;
    Snapshot();
    const Result<> result = verb();
    g.active = false;
    ::_exit(result ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CAPTURE(WEXITSTATUS(status));
  REQUIRE((WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kCutShort));
  return WEXITSTATUS(status) == kCutShort;
}

struct DiskLife {
  TestImage v10{"1.0.0"}, v11{"1.1.0"}, v12{"1.2.0"};
  TestImage rescue{"rescue"}, newer{"rescue-2"};
  DiskMachine machine{v10};

  SystemdBoot& boot() { return machine.boot(); }
  BootState Read() { return Held(boot().Read()); }
  Result<> Arm(const TestImage& image) {
    return boot().Arm(Slot::B, image.release, image.fd.get(), 3);
  }
};

// After any cut: every entry is a whole image that boots the slot holding its root hash, and slot A
// with the running release is untouched.
void CheckNothingHalf(DiskLife& life) {
  const BootState state = life.Read();
  const Esp esp = Held(Esp::Open(life.machine.options().esp));
  for (const BootEntry& entry : state.entries) {
    CAPTURE(entry.file);
    if (IsRescue(entry)) continue;
    CHECK((state.slot(Slot::A).root_hash == entry.root_hash ||
           state.slot(Slot::B).root_hash == entry.root_hash));
    for (const TestImage* image : {&life.v10, &life.v11, &life.v12})
      if (image->release.root_hash == entry.root_hash && !entry.is_type1())
        CHECK(Held(esp.Hash(entry.file)) == image->release.uki_digest);
  }
  CHECK(state.slot(Slot::A).root_hash == life.v10.release.root_hash);
  CHECK(state.slot(Slot::A).label == "hostos_1.0.0");
  CHECK(Run("sfdisk --json " + life.machine.disk() + " 2>/dev/null").contains("hostos-state"));
}

// `check` sees each state a cut can leave; then the verb is repeated, and `done` sees the end.
void CutEverywhere(const std::function<void(DiskLife&)>& prepare,
                   const std::function<Result<>(DiskLife&)>& verb,
                   const std::function<void(const BootState&)>& check,
                   const std::function<void(const BootState&)>& done) {
  const Ending ending = GENERATE(Ending::kKilled, Ending::kPowerCut, Ending::kTornWrite);
  size_t call = 1;
  for (;; call++) {
    CAPTURE(call, static_cast<int>(ending));
    REQUIRE(call < 1000);
    DiskLife life;
    prepare(life);
    if (!CutShort(life.machine, call, ending, [&] { return verb(life); })) break;
    CheckNothingHalf(life);
    check(life.Read());
    CHECK(Outcome(verb(life)) == "ok");
    CheckNothingHalf(life);
    done(life.Read());
  }
  CHECK(call > 3);  // a verb that changes something takes at least that many calls
}

TEST_CASE("arming cut short at any system call leaves the old release or the whole new one") {
  CutEverywhere([](DiskLife&) {}, [](DiskLife& life) { return life.Arm(life.v11); },
                [](const BootState& state) { CHECK(state.next().has_value()); },
                [](const BootState& state) {
                  CHECK(state.next() == Slot::B);
                  CHECK(state.slot(Slot::B).label == "hostos_1.1.0");
                });
}

TEST_CASE("arming over another release cut short never leaves an entry without its slot") {
  CutEverywhere([](DiskLife& life) { REQUIRE(life.Arm(life.v11)); },
                [](DiskLife& life) { return life.Arm(life.v12); },
                [](const BootState& state) { CHECK(state.next().has_value()); },
                [](const BootState& state) {
                  CHECK(state.next() == Slot::B);
                  CHECK(state.entries.size() == 2);
                });
}

TEST_CASE("invalidating cut short at any system call leaves the slot whole or without an entry") {
  CutEverywhere([](DiskLife& life) { REQUIRE(life.Arm(life.v11)); },
                [](DiskLife& life) { return life.boot().Invalidate(Slot::B); },
                [](const BootState& state) {
                  const bool whole = state.EntryOf(Slot::B) != nullptr;
                  CHECK(state.next() == (whole ? Slot::B : Slot::A));
                },
                [](const BootState& state) {
                  CHECK(state.next() == Slot::A);
                  CHECK(state.slot(Slot::B).label == "_empty");
                });
}

TEST_CASE("a disk gets its own UUIDs or keeps the image's, wherever that is cut short") {
  CutEverywhere([](DiskLife&) {}, [](DiskLife& life) { return life.boot().MakeOwn(); },
                [](const BootState& state) { CHECK(state.next() == Slot::A); },
                [](const BootState& state) { CHECK(state.next() == Slot::A); });
}

TEST_CASE("a self-test's entry is there or not, wherever writing or removing it was cut short") {
  const bool remove = GENERATE(false, true);
  CutEverywhere(
      [&](DiskLife& life) {
        if (remove) REQUIRE(life.boot().AddSelfTest());
      },
      [&](DiskLife& life) {
        return remove ? life.boot().RemoveSelfTest() : life.boot().AddSelfTest();
      },
      [](const BootState& state) { CHECK(state.next() == Slot::A); },
      [&](const BootState& state) {
        CHECK(state.entries.size() == (remove ? 1u : 2u));
        CHECK(state.selftest.size() == (remove ? 0u : 1u));
      });
}

// The rescues that are whole, by their bytes; of the others there is none.
size_t WholeRescues(DiskLife& life) {
  const Esp esp = Held(Esp::Open(life.machine.options().esp));
  size_t whole = 0;
  for (const BootEntry& entry : life.Read().entries) {
    if (!IsRescue(entry)) continue;
    const Digest found = Held(esp.Hash(entry.file));
    CHECK((found == life.rescue.rescue().digest || found == life.newer.rescue().digest));
    whole++;
  }
  return whole;
}

TEST_CASE("at each moment of a rescue's replacement a whole one is there, and a release boots") {
  const Ending ending = GENERATE(Ending::kKilled, Ending::kPowerCut, Ending::kTornWrite);
  const std::string old_name =
      GENERATE(std::string(kRescueFile), RescueFile(TestImage("rescue").rescue().digest));
  size_t call = 1;
  for (;; call++) {
    CAPTURE(call, static_cast<int>(ending), old_name);
    REQUIRE(call < 1000);
    DiskLife life;
    fs::copy_file(life.rescue.path, life.machine.LinuxPath(old_name));
    auto set = [&] { return life.boot().SetRescue(life.newer.rescue(), life.newer.fd.get()); };
    if (!CutShort(life.machine, call, ending, set)) break;
    CheckNothingHalf(life);
    CHECK(WholeRescues(life) >= 1);
    CHECK(life.Read().next() == Slot::A);
    CHECK(Outcome(life.boot().RemoveTemporaries()) == "ok");
    CHECK(Outcome(set()) == "ok");
    CHECK(WholeRescues(life) == 1);
    CHECK(life.Read().Rescue()->file == RescueFile(life.newer.rescue().digest));
    CHECK(life.machine.Files().size() == 2);  // nothing is left over
  }
  CHECK(call > 5);
}

TEST_CASE("a disk that loses writes of the partition table is told") {
  // Backup entries, backup header, primary entries, primary header: one, or one whole copy.
  g.lost =
      GENERATE(std::set{1}, std::set{2}, std::set{3}, std::set{4}, std::set{1, 2}, std::set{3, 4});
  DiskLife life;
  g.disk = life.machine.disk();
  g.disk_writes = 0;
  const Result<> armed = life.Arm(life.v11);
  g.lost.clear();
  CHECK(g.disk_writes >= 4);
  CHECK(Outcome(armed).contains("partition table, read back: "));
  CHECK(life.Read().entries.size() == 1);  // no entry for a slot that is not certain
  CHECK(Outcome(life.Arm(life.v11)) == "ok");
}

}  // namespace
}  // namespace hostos

// Writing and proving a slot, on regular files and on loop devices.
#include "updater/slot/partition_slot_disk.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <format>
#include <functional>
#include <future>

#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

// Slot A runs; slot B is wherever the test puts it. The slot disk only ever reads.
class FixedBootControl : public BootControl {
 public:
  Result<BootState> Read() override { return state; }
  Result<BootSurface> ReadSurface() override { return BootSurface(); }
  Result<Digest> HashEspFile(const std::string&) override { return Digest(); }
  Result<> Invalidate(Slot) override { return Fail(Code::kFailed, "not the slot disk's"); }
  Result<> Arm(Slot, const Release&, int, uint32_t) override { return Invalidate(Slot::B); }
  Result<> MarkGood() override { return Invalidate(Slot::B); }
  Result<> MarkIndeterminate(Slot, uint32_t) override { return Invalidate(Slot::B); }
  Result<> MarkGoodIfUntried(Slot) override { return Invalidate(Slot::B); }
  Result<Digest> HashImage(Slot) override { return Digest(); }
  Result<> MarkBad(Slot) override { return Invalidate(Slot::B); }
  Result<> SetRescue(const RescueImage&, int) override { return Invalidate(Slot::B); }
  Result<Digest> HashRescue() override { return Digest(); }
  Result<> AddSelfTest() override { return Invalidate(Slot::B); }
  Result<> RemoveSelfTest() override { return Invalidate(Slot::B); }
  Result<> MakeOwn() override { return Invalidate(Slot::B); }
  Result<> RemoveTemporaries() override { return Invalidate(Slot::B); }

  BootState state;
};

class CountingProgress : public Progress {
 public:
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t done, uint64_t total) override {
    last = done;
    of = total;
  }

  uint64_t last = 0;
  uint64_t of = 0;
};

constexpr uint64_t kCapacity = 16 << 20;

// Both slots on files of kCapacity bytes, and what a release says of the tree.
struct Machine {
  TempDir directory;
  TestTree tree = VariedTree();
  FixedBootControl boot;
  PartitionSlotDisk disk{boot};
  CountingProgress progress;
  Release release;
  // What is at the other end of the image's stream.
  std::function<Result<>(int)> send = [this](int socket) {
    return SendImage(tree.tree, tree, socket);
  };

  Machine() {
    Sealed sealed = SealInto(directory, "expected", tree.tree, tree).sealed;
    release.root_hash = sealed.root_hash;
    release.image_size = sealed.size.image;
    release.verity_size = sealed.size.verity;
    for (const char* slot : {"a", "b"})
      Use(*slot == 'a' ? Slot::A : Slot::B, directory / slot,
          directory / (slot + std::string("v")));
  }

  void Use(Slot slot, const std::string& data, const std::string& verity) {
    for (const std::string& path : {data, verity})
      if (!std::filesystem::exists(path)) {
        UniqueFd fd = Open(path, O_RDWR | O_CREAT, 0600).value();
        REQUIRE(::ftruncate(fd.get(), kCapacity) == 0);
      }
    SlotState& state = boot.state.slots[static_cast<int>(slot)];
    state.data_device = data;
    state.verity_device = verity;
    state.data_capacity = state.verity_capacity = kCapacity;
  }

  SlotState& b() { return boot.state.slots[1]; }
  Result<uint64_t> Write(Slot slot = Slot::B) {
    auto [image, writer] = StreamPair().value();
    auto sent = std::async(std::launch::async, [this, &writer] {
      const UniqueFd socket = std::move(writer);
      return send(socket.get());
    });
    const Result<uint64_t> written = disk.Write(slot, release, image.get(), progress);
    image = {};
    CHECK(sent.get());
    return written;
  }
  Result<> Prove(Slot slot = Slot::B) { return disk.Prove(slot, release, progress); }
  bool Untouched(const std::string& path) {
    std::string bytes = ReadFile(path, kCapacity).value();
    return bytes == std::string(bytes.size(), '\0');
  }
};

template <class T>
void CheckError(const Result<T>& result, Code code, const std::string& message) {
  REQUIRE(!result);
  CHECK(result.error().code == code);
  CHECK_THAT(result.error().message, ContainsSubstring(message));
}

TEST_CASE("a slot is written and proved, and veritysetup agrees") {
  Machine m;
  REQUIRE(m.Write());
  CHECK(m.progress.last == m.release.image_size);
  CHECK(m.progress.of == m.release.image_size);
  CHECK(m.Prove());
  CHECK(Shell(std::format("veritysetup verify {} {} {}", m.b().data_device, m.b().verity_device,
                          m.release.root_hash.Hex()))
            .status == 0);
  CHECK(std::filesystem::file_size(m.b().data_device) == kCapacity);
}

TEST_CASE("what a slot holds already is not written again") {
  Machine m;
  REQUIRE(m.Write().value() <= m.release.image_size);  // the slot is all zeros, and so are gaps
  CHECK(m.Write() == 0);
  const UniqueFd data = Open(m.b().data_device, O_RDWR).value();
  REQUIRE(PwriteFull(data.get(), AsBytes("damage"), 5 * 4096 - 3));
  CHECK(m.Write() == 2 * 4096);
  CHECK(m.Prove());
  const std::vector<std::byte> other(2 << 20, std::byte{0xff});  // then it looks at a few blocks
  REQUIRE(m.release.image_size > other.size());
  REQUIRE(PwriteFull(data.get(), other, 0));
  CHECK(m.Write() == other.size());
  REQUIRE(::ftruncate(data.get(), 4096 + 1) == 0);
  CHECK(m.Write().value() > m.release.image_size / 2);
  CHECK(m.Prove());
}

TEST_CASE("the running slot is never written") {
  Machine m;
  CheckError(m.Write(Slot::A), Code::kFailed, "slot A is running");
  CHECK(m.Untouched(m.boot.state.slots[0].data_device));
}

TEST_CASE("a slot that is too small is refused before anything is written") {
  Machine m;
  SECTION("the data partition") {
    m.b().data_capacity = m.release.image_size - 1;
    CheckError(m.Write(), Code::kNoSpace,
               std::format("slot B: the image needs {} bytes, {} holds {}", m.release.image_size,
                           m.b().data_device, m.b().data_capacity));
  }
  SECTION("the verity partition") {
    m.b().verity_capacity = m.release.verity_size - 1;
    CheckError(m.Write(), Code::kNoSpace, "slot B: the hash area needs");
  }
  CHECK(m.Untouched(m.b().data_device));
}

TEST_CASE("a signed size that no image has is refused before anything is written") {
  Machine m;
  SECTION("image") {
    m.release.image_size += 1;
    CheckError(m.Write(), Code::kNotTrusted, "expected a size in whole blocks of 4096 bytes");
  }
  SECTION("hash area") {
    m.release.verity_size -= 4096;
    CheckError(m.Write(), Code::kNotTrusted, "bytes as signed, found");
  }
  CHECK(m.Untouched(m.b().data_device));
}

TEST_CASE(
    "a stream of other bytes than the signed image is refused, and bytes behind it are not read") {
  Machine m;
  const auto honest = m.send;
  SECTION("short") {
    m.release.image_size += 4096;
    CheckError(m.Write(), Code::kNetwork,
               std::format("image: expected {} bytes, found {}", m.release.image_size,
                           m.release.image_size - 4096));
  }
  SECTION("empty") {
    m.send = [](int) { return Result<>(); };
    CheckError(m.Write(), Code::kNetwork, "found 0");
  }
  SECTION("other bytes") {
    m.send = [&](int socket) {
      return WriteFull(socket, AsBytes(std::string(m.release.image_size, 'x')));
    };
    CheckError(m.Write(), Code::kNotTrusted, "expected the root hash");
  }
  SECTION("longer") {
    m.send = [&](int socket) -> Result<> {
      TRY(honest(socket));
      return WriteFull(socket, AsBytes("more"));
    };
    CHECK(m.Write());
    CHECK(m.Prove());
  }
}

TEST_CASE("another root hash than the signed one is an error, with both") {
  Machine m;
  Digest found = m.release.root_hash;
  m.release.root_hash = Digest{};
  CheckError(m.Write(), Code::kNotTrusted,
             std::format("slot B: expected the root hash {} as signed, found {}", Digest{}.Hex(),
                         found.Hex()));
}

TEST_CASE("damage done between write and prove is found and named with its device") {
  Machine m;
  REQUIRE(m.Write());
  {
    UniqueFd fd = Open(m.b().data_device, O_RDWR).value();
    REQUIRE(PwriteFull(fd.get(), AsBytes("damage"), 1 << 20));
  }
  CheckError(m.Prove(), Code::kNotTrusted, m.b().data_device);
  CheckError(m.Prove(), Code::kNotTrusted, "image, bytes 1048576-1052671: expected");
}

TEST_CASE("a device that is not there is an error with its name") {
  Machine m;
  m.b().data_device = m.directory / "nowhere";
  CheckError(m.Write(), Code::kNotFound, m.directory / "nowhere");
  CheckError(m.Prove(), Code::kNotFound, m.directory / "nowhere");
}

class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file) {
    CommandResult result = Shell("losetup --find --show " + file);
    INFO(result.output);
    REQUIRE(result.status == 0);
    path_ = result.output.substr(0, result.output.find('\n'));
  }
  ~LoopDevice() { (void)Shell("losetup --detach " + path_); }  // a leak of a test, nothing more
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_CASE("block devices are written and proved, and the kernel mounts the slot") {
  if (std::string reason = NoMountReason(); !reason.empty()) SKIP(reason);
  Machine m;
  LoopDevice data(m.b().data_device), verity(m.b().verity_device);
  m.Use(Slot::B, data.path(), verity.path());
  REQUIRE(m.Write());
  REQUIRE(m.Prove());
  Mount mount(data.path());
  CheckSameTree(m.tree.tree, m.tree, mount.path());
  CHECK(m.Prove());  // as `hostctl verify` does to the running slot
  CheckError(m.Write(), Code::kFailed, data.path() + ": Device or resource busy");
}

}  // namespace
}  // namespace hostos

#include "tests/bootctl/disk_machine.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "bootctl/entry_name.h"
#include "bootctl/esp.h"
#include "bootctl/gpt.h"
#include "bootctl/loader.h"
#include "bootctl/uki.h"

namespace hostos {

namespace fs = std::filesystem;

TestImage::TestImage(const std::string& version)
    : path(std::string(HOSTOS_TEST_UKIS) + "/" + version + ".efi") {
  fd = Open(path, O_RDONLY).value();
  release.version = version;
  release.architecture = "x86-64";
  release.root_hash = Sha256::Of(AsBytes(version));
  release.uki_size = fs::file_size(path);
  release.uki_digest = HashFile(fd.get(), release.uki_size).value();
}

void WriteVariable(const std::string& directory, const std::string& name,
                   const std::optional<std::string>& text) {
  const std::string path = directory + "/" + name + "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
  if (!text) {
    fs::remove(path);
    return;
  }
  std::string bytes("\x06\0\0\0", 4);
  for (char c : *text + '\0') bytes += {c, '\0'};
  WriteText(path, bytes);
}

SystemdBootOptions DiskMachine::OptionsIn(const std::string& directory) {
  return {.esp = directory + "/esp",
          .efivars = directory + "/efivars",
          .sys = directory + "/sys",
          .command_line = directory + "/cmdline",
          .root = directory + "/root",
          .run = directory + "/run",
          .dev = directory + "/dev",
          .disk = directory + "/disk.img"};
}

DiskMachine::DiskMachine(const TestImage& running, const SlotSize& size)
    : options_(OptionsIn(directory_.path())), boot_(options_) {
  fs::create_directories(options_.root);
  MakeDisk(running.release, size);
  const std::string stem = ReleaseStem(running.release.version, running.release.root_hash);
  fs::create_directories(options_.esp + "/EFI/Linux");
  fs::copy_file(running.path, LinuxPath(FormatEntryName(stem, std::nullopt)));
  WriteText(options_.esp + "/EFI/BOOT/BOOTX64.EFI", "loader");
  WriteText(options_.esp + "/loader/loader.conf", "timeout 0\neditor no\n");
  WriteVariable(options_.efivars, "LoaderEntrySelected", stem + ".efi");
  SetRunning(Slot::A, running.release.root_hash);
}

DiskMachine::DiskMachine(const DiskMachine& other)
    : broken(other.broken), options_(OptionsIn(directory_.path())), boot_(options_) {
  Run(std::format("cp -a --sparse=always {}/. {}", other.directory(), directory()));
}

// sfdisk syncs every file system of the machine, so each layout is made once and copied, by cp,
// which leaves holes alone.
void DiskMachine::MakeDisk(const Release& running, const SlotSize& size) {
  static const TempDir made;
  const std::string image =
      made / std::format("{}-{}-{}", running.root_hash.Short(), size.data, size.verity);
  if (fs::exists(image)) {
    Run("cp " + image + " " + disk());
    return;
  }
  const SlotIdentity a = SlotIdentity::OfRelease(running), b = SlotIdentity::Empty();
  WriteText(*this / "layout",
            std::format(R"(label: gpt
size=1MiB, type=uefi, name=hostos-esp, uuid={8}
size={6}MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name={0}, uuid={1}, attrs="GUID:60"
size={7}MiB, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name={0}, uuid={2}, attrs="GUID:60"
size={6}MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name={3}, uuid={4}, attrs="GUID:60"
size={7}MiB, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, name={3}, uuid={5}, attrs="GUID:60"
size=2MiB, type=4d21b016-b534-45c2-a9fb-5c16e091fd2d, name=hostos-state
)",
                        a.label, ToString(a.data), ToString(a.verity), b.label, ToString(b.data),
                        ToString(b.verity), size.data, size.verity, ToString(kImageEsp)));
  const uint64_t whole = 2 * (size.data + size.verity) + 6;  // MiB: ESP, state, and the tables
  Run(std::format("truncate -s {0}M {1} && sfdisk -q {1} <{2}", whole, image, *this / "layout"));
  Run("cp " + image + " " + disk());
}

void DiskMachine::AddSlave(const std::string& device, int number) {
  const std::string name = "vda" + std::to_string(number);
  WriteText(*this / "sys/devices/vda/" + name + "/partition", std::to_string(number) + "\n");
  fs::create_directory_symlink("../../../../devices/vda/" + name, device + "/slaves/" + name);
}

void DiskMachine::SetRunning(Slot slot, const Digest& root_hash) {
  struct stat status;
  if (::stat(options_.root.c_str(), &status) < 0) throw std::runtime_error("stat");
  const std::string device =
      std::format("{}/dev/block/{}:{}", options_.sys, major(status.st_dev), minor(status.st_dev));
  fs::remove_all(device);
  WriteText(device + "/dm/uuid", "CRYPT-VERITY-0123-root\n");
  fs::create_directories(device + "/slaves");
  AddSlave(device, slot == Slot::A ? 2 : 4);
  AddSlave(device, slot == Slot::A ? 3 : 5);
  // The stub hands on that of its image.
  std::string line = "root=/dev/mapper/root roothash=" + root_hash.Hex() + " ro";
  for (const std::string& file : Files())
    if (const auto uki = ReadUki(Open(LinuxPath(file), O_RDONLY).value().get()).value();
        uki && uki->root_hash == root_hash)
      line = uki->command_line;
  WriteText(options_.command_line, line + "\n");
}

void DiskMachine::SetRescue() {
  for (const char* name : {"LoaderEntrySelected", "LoaderBootCountPath"})
    WriteVariable(options_.efivars, name, std::nullopt);
  WriteText(options_.command_line, "panic=5 " + std::string(kRescueWord) + "\n");
}

std::vector<std::string> DiskMachine::Files() const {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(options_.esp + "/EFI/Linux"))
    files.push_back(entry.path().filename());
  std::ranges::sort(files);
  return files;
}

Result<BootState> DiskMachine::Look() const {
  SystemdBootOptions options = options_;
  if (ReadText(options.command_line).contains(kRescueWord)) options.rescues = Slot::B;
  return SystemdBoot(options).Read();
}

Result<Slot> DiskMachine::Boot() {
  for (const char* name : {"LoaderEntrySelected", "LoaderBootCountPath"})
    WriteVariable(options_.efivars, name, std::nullopt);  // they are volatile
  for (int start = 0; start < 16; start++) {
    const BootState state = TRY(Look());
    if (state.entries.empty()) return Fail(Code::kFailed, "no entry");
    BootEntry entry = state.entries.front();
    auto path = [&] {
      return entry.is_type1() ? options_.esp + "/" + entry.file : LinuxPath(entry.file);
    };
    const std::string before = path();
    SpendTry(entry);
    fs::rename(before, path());
    const std::optional<Slot> slot = state.next();
    if (!slot || broken.contains(entry.root_hash)) continue;
    WriteVariable(options_.efivars, "LoaderEntrySelected", LoaderId(entry));
    if (entry.tries)
      WriteVariable(options_.efivars, "LoaderBootCountPath", "\\EFI\\Linux\\" + entry.file);
    SetRunning(*slot, entry.root_hash);
    return *slot;
  }
  return Fail(Code::kFailed, "nothing reaches userspace");
}

}  // namespace hostos

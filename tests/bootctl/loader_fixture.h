// A machine on files that runs 1.0.0, images of later releases, and what the loader says of it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "bootctl/entry_name.h"
#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {

struct LoaderFixture {
  TestImage v10{"1.0.0"}, v11{"1.1.0"}, v12{"1.2.0"};
  DiskMachine machine{v10};

  BootState Read() { return Held(machine.boot().Read()); }
  std::string Refusal() { return Outcome(machine.boot().Read()); }
  Result<> Arm(const TestImage& image) {
    return machine.boot().Arm(Slot::B, image.release, image.fd.get(), 3);
  }
  void Add(const std::string& file, const TestImage& image) {
    std::filesystem::copy_file(image.path, machine.LinuxPath(file));
  }
  std::string FileOf(const TestImage& image, const std::string& counter) {
    return ReleaseStem(image.release.version, image.release.root_hash) + counter + ".efi";
  }
  void SetVariable(const std::string& name, const std::optional<std::string>& text) {
    WriteVariable(machine.options().efivars, name, text);
  }
};

}  // namespace hostos

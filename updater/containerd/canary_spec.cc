#include "updater/containerd/canary_spec.h"

#include <nlohmann/json.hpp>

namespace hostos {

using nlohmann::json;

std::string CanarySpec(const std::string& id) {
  const json none = json::array();
  json process = {
      {"args", {"/bin/canary"}},
      {"cwd", "/"},
      {"user", {{"uid", 65534}, {"gid", 65534}}},
      {"noNewPrivileges", true},
      {"capabilities",
       {{"bounding", none}, {"effective", none}, {"permitted", none}, {"ambient", none}}},
  };
  json mounts = {
      {{"destination", "/proc"},
       {"type", "proc"},
       {"source", "proc"},
       {"options", {"nosuid", "noexec", "nodev"}}},
      {{"destination", "/dev"},
       {"type", "tmpfs"},
       {"source", "tmpfs"},
       {"options", {"nosuid", "noexec", "strictatime", "mode=755", "size=64k"}}},
      {{"destination", "/sys"},
       {"type", "sysfs"},
       {"source", "sysfs"},
       {"options", {"nosuid", "noexec", "nodev", "ro"}}},
  };
  json namespaces = json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount", "network"})
    namespaces.push_back({{"type", type}});
  json resources = {
      {"devices", {{{"allow", false}, {"access", "rwm"}}}},
      {"memory", {{"limit", 128 << 20}}},
      {"pids", {{"limit", 64}}},
  };
  json spec = {
      {"ociVersion", "1.1.0"},
      {"process", process},
      {"root", {{"path", "rootfs"}, {"readonly", true}}},
      {"mounts", mounts},
      {"linux",
       {{"namespaces", namespaces}, {"resources", resources}, {"cgroupsPath", "/hostos-" + id}}},
  };
  return spec.dump();
}

}  // namespace hostos

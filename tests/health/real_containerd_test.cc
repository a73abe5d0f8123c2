// The canary in a real containerd with a real runc.
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <fstream>

#include "tests/health/limits.h"
#include "tests/health/unix_socket.h"
#include "tests/temp_dir.h"
#include "updater/base/unique_fd.h"
#include "updater/health/containerd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

pid_t Spawn(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  REQUIRE(::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  return pid;
}

int Wait(pid_t pid) {
  int status = -1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return status;
}

// containerd with a root, a state and a socket of its own. It runs in a mount namespace whose root
// is a mount point, which runc needs and a chroot does not have.
class RealContainerd {
 public:
  RealContainerd() {
    if (::geteuid() != 0) SKIP("a real container takes root");
    std::ofstream(dir_ / "config.toml") << std::format(
        "version = 2\nroot = '{0}/root'\nstate = '{0}/state'\n"
        "disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{1}'\n",
        dir_.path(), socket());
    fs::create_directory(dir_ / "mount");
    const UniqueFd notify = Notify();
    pid_ = Spawn({"unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                  "mount --make-rprivate / 2>/dev/null; mount --rbind / \"$1/mount\" &&\n"
                  "mount --make-rprivate \"$1/mount\" &&\n"
                  "exec chroot \"$1/mount\" env NOTIFY_SOCKET=\"$1/notify\" \\\n"
                  "  containerd -c \"$1/config.toml\" >\"$1/log\" 2>&1",
                  "sh", dir_.path()});
    WaitReady(notify.get());
  }

  ~RealContainerd() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  std::string socket() const { return dir_ / "containerd.sock"; }

  // A root file system with the canary, which behaves as told.
  std::string Rootfs(const std::string& behaviour) const {
    const std::string root = dir_ / ("canary-" + behaviour);
    for (const char* name : {"bin", "proc", "dev", "sys"})
      fs::create_directories(root + "/" + name);
    fs::copy_file(HEALTH_TEST_CANARY, root + "/bin/canary");
    fs::permissions(root + "/bin/canary", fs::perms(0755));
    std::ofstream(root + "/behaviour") << behaviour;
    fs::permissions(root,
                    fs::perms(0777));  // so that only the read-only mount keeps it from writing
    return root;
  }

  std::string Canary(const std::string& rootfs, Milliseconds limit = kAmple) const {
    const Result<> result =
        Containerd(socket()).RunCanary(rootfs, "io.containerd.runc.v2", Deadline(limit));
    return result ? "" : result.error().message;
  }

  // Containers, tasks and cgroups of canaries that are there now.
  size_t Remains() const {
    size_t count = 0;
    for (const char* kind : {"containers", "tasks"}) {
      const std::string out = dir_ / "out";
      REQUIRE(Wait(Spawn({"sh", "-c", "exec ctr -a \"$1\" -n hostos-health \"$2\" ls -q >\"$3\"",
                          "sh", socket(), kind, out})) == 0);
      count += fs::file_size(out);
    }
    for (const fs::directory_entry& top : fs::directory_iterator("/sys/fs/cgroup"))
      for (const fs::path& where : {top.path().parent_path(), top.path()})
        count += fs::exists(where / std::format("hostos-canary-{}-{}", Boot(), ::getpid()));
    return count;
  }

  static std::string Boot() {
    return ReadFile("/proc/sys/kernel/random/boot_id").value().substr(0, 8);
  }

 private:
  UniqueFd Notify() {
    UniqueFd fd = BindUnix(dir_ / "notify", SOCK_DGRAM);
    const timeval limit = {.tv_sec = 60, .tv_usec = 0};
    REQUIRE(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    return fd;
  }

  void WaitReady(int notify) {
    char message[4096];
    const ssize_t n = ::recv(notify, message, sizeof message, 0);
    INFO(ReadFile(dir_ / "log").value_or("no log"));
    REQUIRE(n > 0);
    REQUIRE(std::string_view(message, static_cast<size_t>(n)).contains("READY=1"));
  }

  TempDir dir_;
  pid_t pid_ = 0;
};

TEST_CASE("a real containerd runs the canary as it should, again and again") {
  RealContainerd containerd;
  CHECK(Containerd(containerd.socket()).Serving(Deadline(kAmple)));
  CHECK(Containerd(containerd.socket()).Version(Deadline(kAmple))->starts_with("1."));
  const std::string rootfs = containerd.Rootfs("0");
  for (int i = 0; i < 3; i++) CHECK(containerd.Canary(rootfs) == "");
  CHECK_FALSE(fs::exists(rootfs + "/created"));
  CHECK(containerd.Remains() == 0);
}

TEST_CASE("a real containerd's plugins are seen with their errors") {
  RealContainerd real;
  Containerd containerd(real.socket());
  CHECK(containerd.HasPlugins({"io.containerd.grpc.v1.tasks", "io.containerd.snapshotter.v1"},
                              Deadline(kAmple)));
  CHECK(containerd.HasPlugins({"io.containerd.snapshotter.v1.zfs"}, Deadline(kAmple))
            .error()
            .message.contains("skip plugin"));
  CHECK(containerd.HasPlugins({"io.containerd.grpc.v1.cri"}, Deadline(kAmple))
            .error()
            .message.contains("its configuration disables it"));
}

TEST_CASE("a canary that a real containerd cannot run says why and leaves nothing behind") {
  RealContainerd containerd;
  const std::string failing = containerd.Rootfs("3");
  CHECK(containerd.Canary(failing) ==
        std::format("/bin/canary of {} ended with exit code 3, expected 0", failing));
  CHECK(containerd.Remains() == 0);

  const std::string empty = containerd.Rootfs("0");
  fs::remove(empty + "/bin/canary");
  const std::string no_program = containerd.Canary(empty);
  CHECK(no_program.starts_with("task create: "));
  CHECK(no_program.contains("/bin/canary"));
  CHECK(containerd.Remains() == 0);

  CHECK(containerd.Canary("/no/such/rootfs").starts_with("task create: "));
  CHECK(containerd.Remains() == 0);
}

TEST_CASE("a canary that hangs in a real containerd is killed at the deadline") {
  RealContainerd containerd;
  const std::string hanging = containerd.Rootfs("hang");
  CHECK(containerd.Canary(hanging, Seconds(5)) == "task wait: no answer within 5 s");
  CHECK(containerd.Remains() == 0);
}

TEST_CASE("a running canary that a killed run left in a real containerd is removed") {
  RealContainerd containerd;
  const std::string hanging = containerd.Rootfs("hang");
  REQUIRE(Wait(Spawn({"ctr", "-a", containerd.socket(), "-n", "hostos-health", "run", "--detach",
                      "--null-io", "--user", "65534", "--rootfs", hanging, "canary-00000000-1",
                      "/bin/canary"})) == 0);
  CHECK(containerd.Remains() > 0);
  CHECK(containerd.Canary(containerd.Rootfs("0")) == "");
  CHECK(containerd.Remains() == 0);
}

}  // namespace
}  // namespace hostos

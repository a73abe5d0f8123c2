#include "updater/containerd/containerd.h"

#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <format>
#include <nlohmann/json.hpp>
#include <set>

#include "cri/runtime.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/containers/v1/containers.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/introspection/v1/introspection.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/namespaces/v1/namespace.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/tasks/v1/tasks.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/version/v1/version.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "updater/base/printable.h"
#include "updater/base/unique_fd.h"
#include "updater/containerd/canary_spec.h"
#include "updater/health/containerd_process.h"

namespace hostos {
namespace {

using ::containerd::services::containers::v1::Containers;
using ::containerd::services::introspection::v1::Introspection;
using ::containerd::services::namespaces::v1::Namespaces;
using ::containerd::services::tasks::v1::Tasks;
using Plugin = ::containerd::services::introspection::v1::Plugin;
namespace cri = ::runtime::v1;
namespace containers = ::containerd::services::containers::v1;
namespace health = ::grpc::health::v1;
namespace introspection = ::containerd::services::introspection::v1;
namespace namespaces = ::containerd::services::namespaces::v1;
namespace tasks = ::containerd::services::tasks::v1;
namespace version = ::containerd::services::version::v1;
using google::protobuf::Empty;

constexpr char kNamespace[] = "hostos-health";

using Channel = std::shared_ptr<grpc::Channel>;

template <class Stub, class Request, class Response>
grpc::Status Call(const Channel& channel,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response, const Deadline& deadline) {
  grpc::ClientContext context;
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_millis(deadline.left().count(), GPR_TIMESPAN)));
  context.AddMetadata("containerd-namespace", kNamespace);
  Stub stub(channel);
  return (stub.*method)(&context, request, response);
}

Result<> Check(const grpc::Status& status, const Deadline& deadline,
               grpc::StatusCode also_fine = grpc::StatusCode::OK) {
  if (status.ok() || status.error_code() == also_fine) return {};
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED)
    return Fail(Code::kUnhealthy, "no answer within {}", FormatSeconds(deadline.limit()));
  return Fail(Code::kUnhealthy, "{}", OneLine(status.error_message()));
}

// One canary container, from creation to deletion. A process may run only one at a time.
class Canary {
 public:
  Canary(Channel channel, std::string id) : channel_(std::move(channel)), id_(std::move(id)) {}

  Result<> Run(const std::string& rootfs, const std::string& runtime, const Deadline& deadline) {
    TRY_CONTEXT("container create", CreateContainer(runtime, deadline));
    TRY_CONTEXT("task create", CreateTask(rootfs, deadline));
    TRY_CONTEXT("task start", StartTask(deadline));
    uint32_t code = TRY_CONTEXT("task wait", WaitTask(deadline));
    if (code != 0)
      return Fail(Code::kUnhealthy, "/bin/canary of {} ended with exit code {}, expected 0", rootfs,
                  code);
    return {};
  }

  // Removes the task, then the container, whichever exists. If the task remains, the container
  // stays too: the next run finds the task by it, and containerd deletes no task without its
  // container.
  Result<> Remove(const Deadline& deadline) {
    tasks::KillRequest kill;
    kill.set_container_id(id_);
    kill.set_signal(SIGKILL);
    kill.set_all(true);
    Empty empty;
    if (Call(channel_, &Tasks::Stub::Kill, kill, &empty, deadline).ok())
      (void)WaitTask(deadline);  // only an ended task can be deleted; a hang shows there

    tasks::DeleteTaskRequest delete_task;
    delete_task.set_container_id(id_);
    tasks::DeleteResponse deleted;
    TRY_CONTEXT("task delete",
                Check(Call(channel_, &Tasks::Stub::Delete, delete_task, &deleted, deadline),
                      deadline, grpc::StatusCode::NOT_FOUND));

    containers::DeleteContainerRequest delete_container;
    delete_container.set_id(id_);
    TRY_CONTEXT("container delete",
                Check(Call(channel_, &Containers::Stub::Delete, delete_container, &empty, deadline),
                      deadline, grpc::StatusCode::NOT_FOUND));
    return {};
  }

  Result<> CreateContainer(const std::string& runtime, const Deadline& deadline) {
    containers::CreateContainerRequest request;
    containers::Container& container = *request.mutable_container();
    container.set_id(id_);
    container.mutable_runtime()->set_name(runtime);
    // containerd's typeurl: the JSON of a Go type, named by its import path and major version.
    container.mutable_spec()->set_type_url(
        "types.containerd.io/opencontainers/runtime-spec/1/Spec");
    container.mutable_spec()->set_value(CanarySpec(id_));
    containers::CreateContainerResponse response;
    return Check(Call(channel_, &Containers::Stub::Create, request, &response, deadline), deadline);
  }

 private:
  Result<> CreateTask(const std::string& rootfs, const Deadline& deadline) {
    tasks::CreateTaskRequest request;
    request.set_container_id(id_);
    auto& mount = *request.add_rootfs();
    mount.set_type("bind");
    mount.set_source(rootfs);
    mount.add_options("rbind");
    mount.add_options("ro");
    tasks::CreateTaskResponse response;
    return Check(Call(channel_, &Tasks::Stub::Create, request, &response, deadline), deadline);
  }

  Result<> StartTask(const Deadline& deadline) {
    tasks::StartRequest request;
    request.set_container_id(id_);
    tasks::StartResponse response;
    return Check(Call(channel_, &Tasks::Stub::Start, request, &response, deadline), deadline);
  }

  // The exit code, even of a task that has already ended.
  Result<uint32_t> WaitTask(const Deadline& deadline) {
    tasks::WaitRequest request;
    request.set_container_id(id_);
    tasks::WaitResponse response;
    TRY(Check(Call(channel_, &Tasks::Stub::Wait, request, &response, deadline), deadline));
    return response.exit_status();
  }

  Channel channel_;
  std::string id_;
};

// A canary is named after its process and its start: "canary-<boot>-<pid>-<nanoseconds>". So two
// commands may check at the same time; a leftover is one whose name belongs to no living process;
// and nothing left behind has a name that will be needed again.
Result<std::string> CanaryPrefix() {
  const std::string boot = TRY(ReadFile("/proc/sys/kernel/random/boot_id"));
  return std::format("canary-{}-", boot.substr(0, 8));
}

std::string NewCanary(const std::string& prefix) {
  return std::format("{}{}-{}", prefix, ::getpid(),
                     std::chrono::steady_clock::now().time_since_epoch().count());
}

bool RunsElsewhere(std::string_view id, std::string_view prefix) {
  if (!id.starts_with(prefix)) return false;
  id.remove_prefix(prefix.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), pid);
  if (error != std::errc() || (end != id.data() + id.size() && *end != '-') || pid <= 0)
    return false;
  return pid != ::getpid() && (::kill(pid, 0) == 0 || errno == EPERM);
}

// The canaries for which containerd knows a container or a task.
struct Known {
  std::set<std::string> containers, tasks;
};

Result<Known> AskForCanaries(const Channel& channel, const Deadline& deadline) {
  Known known;
  containers::ListContainersResponse containers;
  TRY(Check(Call(channel, &Containers::Stub::List, containers::ListContainersRequest(), &containers,
                 deadline),
            deadline));
  for (const auto& container : containers.containers()) known.containers.insert(container.id());
  tasks::ListTasksResponse tasks;
  TRY(Check(Call(channel, &Tasks::Stub::List, tasks::ListTasksRequest(), &tasks, deadline),
            deadline));
  for (const auto& task : tasks.tasks()) known.tasks.insert(task.id());
  return known;
}

// Removes the bundle of a task that containerd has lost: files, and an empty directory where its
// root was mounted. If something is mounted there, the bundle is in use, and all of it stays.
void RemoveBundle(const std::filesystem::path& bundle) {
  std::error_code error;
  std::filesystem::remove(bundle / "rootfs", error);
  if (error) return;
  for (std::filesystem::directory_iterator it(bundle, error), end; !error && it != end;
       it.increment(error))
    std::filesystem::remove(it->path(), error);
  std::filesystem::remove(bundle, error);
}

// Removes bundles that a dead containerd left and the next one did not take over. They are
// harmless, because their names are never used again: errors are ignored.
void RemoveBundles(const std::string& state, const Known& known, const std::string& prefix,
                   const Deadline& deadline) {
  std::error_code error;
  std::filesystem::directory_iterator it(
      std::format("{}/io.containerd.runtime.v2.task/{}", state, kNamespace), error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string id = it->path().filename();
    if (deadline.left() == Milliseconds(0)) return;
    if (known.containers.contains(id) || known.tasks.contains(id) || RunsElsewhere(id, prefix))
      continue;
    RemoveBundle(it->path());
  }
}

// Removes what earlier runs left. Returns, in one line, what could not be removed, "" for nothing:
// that is no failure of this containerd.
Result<std::string> RemoveLeftovers(const Channel& channel, const std::string& state,
                                    const std::string& prefix, const std::string& runtime,
                                    const Deadline& deadline) {
  const Known known = TRY(AskForCanaries(channel, deadline));
  std::set<std::string> ids = known.containers;
  ids.insert(known.tasks.begin(), known.tasks.end());
  std::string stays;
  for (const std::string& id : ids) {
    if (RunsElsewhere(id, prefix)) continue;
    Canary canary(channel, id);
    if (!known.containers.contains(id)) (void)canary.CreateContainer(runtime, deadline);
    if (const Result<> removed = canary.Remove(deadline); !removed && stays.empty())
      stays = std::format("{} of an earlier run stays: {}", id, removed.error().message);
  }
  RemoveBundles(state, known, prefix, deadline);
  return stays;
}

Result<> CreateNamespace(const Channel& channel, const Deadline& deadline) {
  namespaces::CreateNamespaceRequest request;
  request.mutable_namespace_()->set_name(kNamespace);
  namespaces::CreateNamespaceResponse response;
  return Check(Call(channel, &Namespaces::Stub::Create, request, &response, deadline), deadline,
               grpc::StatusCode::ALREADY_EXISTS);
}

// Whether one of `plugins` is the needed one and is loaded. Otherwise fails with the error of the
// last match.
Result<> HasPlugin(const introspection::PluginsResponse& plugins, const std::string& needed) {
  std::string error = "containerd does not know it, or its configuration disables it";
  for (const Plugin& plugin : plugins.plugins()) {
    if (needed != plugin.type() && needed != plugin.type() + "." + plugin.id()) continue;
    if (!plugin.has_init_err()) return {};
    error = OneLine(plugin.init_err().message());
  }
  return Fail(Code::kUnhealthy, "plugin {} is not loaded: {}", needed, error);
}

// Checks what HostOS sets for pods in /etc/containerd/config.toml. Runtimes other than runc have
// their own options.
Result<> HasSettings(const nlohmann::json& config) {
  using Pointer = nlohmann::json::json_pointer;
  const auto expect = [&](const Pointer& at, const nlohmann::json& expected) -> Result<> {
    const nlohmann::json found = config.contains(at) ? config.at(at) : nlohmann::json();
    if (found == expected) return {};
    return Fail(Code::kUnhealthy,
                "CRI runs with {} {}, expected {}: does a file in /etc/containerd/conf.d set "
                "something of the same plugin? It replaces all that was set before it",
                at.back(),
                OneLine(found.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)),
                expected.dump());
  };
  TRY(expect(Pointer("/cni/binDir"), "/opt/cni/bin"));
  const Pointer name("/containerd/defaultRuntimeName");
  if (!config.contains(name) || !config.at(name).is_string())
    return Fail(Code::kUnhealthy, "CRI does not say which runtime it runs pods with");
  const Pointer runtime = Pointer("/containerd/runtimes") / config.at(name).get<std::string>();
  if (expect(runtime / "runtimeType", "io.containerd.runc.v2"))
    TRY(expect(runtime / "options" / "SystemdCgroup", true));
  return {};
}

}  // namespace

// Takes the socket's folder for the state directory: so it is by default in containerd, k3s and
// rke2.
Containerd::Containerd(const std::string& socket)
    : address_("unix:" + socket), state_(socket.substr(0, socket.rfind('/'))) {
  grpc::ChannelArguments arguments;
  // Not a global channel: it would remember earlier failures, and wait before it retries.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel_ = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

Result<> Containerd::Serving(const Deadline& deadline) {
  health::HealthCheckResponse response;
  TRY_CONTEXT(address_, Check(Call(channel_, &health::Health::Stub::Check,
                                   health::HealthCheckRequest(), &response, deadline),
                              deadline));
  if (response.status() != health::HealthCheckResponse::SERVING)
    return Fail(Code::kUnhealthy, "{}: expected SERVING, found {}", address_,
                health::HealthCheckResponse::ServingStatus_Name(response.status()));
  return {};
}

Result<std::string> Containerd::Version(const Deadline& deadline) {
  version::VersionResponse response;
  TRY(Check(Call(channel_, &version::Version::Stub::Version, Empty(), &response, deadline),
            deadline));
  return OneLine(response.version());
}

Result<> Containerd::HasPlugins(const std::vector<std::string>& needed, const Deadline& deadline) {
  introspection::PluginsResponse response;
  TRY(Check(Call(channel_, &Introspection::Stub::Plugins, introspection::PluginsRequest(),
                 &response, deadline),
            deadline));
  for (const std::string& plugin : needed) TRY(HasPlugin(response, plugin));
  return {};
}

Result<> Containerd::HasHostOsSettings(const Deadline& deadline) {
  cri::StatusRequest request;
  request.set_verbose(true);
  cri::StatusResponse response;
  TRY(Check(Call(channel_, &cri::RuntimeService::Stub::Status, request, &response, deadline),
            deadline));
  const auto found = response.info().find("config");
  const std::string text = found == response.info().end() ? "" : found->second;
  const nlohmann::json config = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return Fail(Code::kUnhealthy, "CRI does not say how it is configured");
  return HasSettings(config);
}

Result<std::string> Containerd::RunCanary(const std::string& rootfs, const std::string& runtime,
                                          const Deadline& deadline) {
  const std::string prefix = TRY(CanaryPrefix());
  TRY_CONTEXT(std::format("namespace {}", kNamespace), CreateNamespace(channel_, deadline));
  // Half the time for the leftovers, the rest for the canary.
  std::string stays = TRY_CONTEXT("leftovers", RemoveLeftovers(channel_, state_, prefix, runtime,
                                                               Deadline(deadline.left() / 2)));
  Canary canary(channel_, NewCanary(prefix));
  Result<> ran = canary.Run(rootfs, runtime, deadline);
  const Result<> removed =
      canary.Remove(ran ? deadline : Deadline(deadline.left() + kCanaryCleanup));
  if (!removed) {
    if (ran) return std::unexpected(removed.error());
    ran.error().message += "; cleaning up: " + removed.error().message;
  }
  if (!ran) return std::unexpected(ran.error());
  return stays;
}

}  // namespace hostos

#include "tests/containerd/fake_containerd.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "cri/runtime.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/containers/v1/containers.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/introspection/v1/introspection.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/namespaces/v1/namespace.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/tasks/v1/tasks.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/version/v1/version.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace hostos {

namespace cri_api = ::runtime::v1;
namespace containers_api = ::containerd::services::containers::v1;
namespace health_api = ::grpc::health::v1;
namespace introspection_api = ::containerd::services::introspection::v1;
namespace namespaces_api = ::containerd::services::namespaces::v1;
namespace tasks_api = ::containerd::services::tasks::v1;
namespace version_api = ::containerd::services::version::v1;
using google::protobuf::Empty;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

namespace {

enum class Task { kNone, kCreated, kRunning, kEnded };

// What all services share.
struct State {
  FakeContainerd::Script script;
  std::mutex mutex;
  std::condition_variable changed;
  bool closing = false;
  std::vector<std::string> steps;
  std::set<std::string> namespaces;
  std::map<std::string, std::shared_ptr<Task>> containers;  // a call that waits outlives a deletion
  std::set<std::string> bundles;  // directories of tasks, as they are on the disk

  // Takes note of the step; hangs or fails where the script says so.
  // With an `id`, the script may mean this one only.
  Status Enter(std::unique_lock<std::mutex>& lock, const std::string& step,
               const std::string& id = "") {
    steps.push_back(step);
    if (script.hangs.contains(step)) changed.wait(lock, [&] { return closing; });
    for (const std::string& name : {step, step + " " + id})
      if (const auto error = script.errors.find(name); error != script.errors.end())
        return Status(StatusCode::UNKNOWN, error->second);
    return script.dies_in == step ? Die() : Status::OK;
  }

  // Once. What starts in its place has the containers, and lost the tasks.
  Status Die() {
    script.dies_in.clear();
    for (auto& [id, task] : containers) *task = Task::kNone;
    return Status(StatusCode::UNAVAILABLE, "Socket closed");
  }

  // The container of a call, which must name our namespace.
  Status Find(const ServerContext& context, const std::string& id, std::shared_ptr<Task>& task) {
    const auto found = context.client_metadata().find("containerd-namespace");
    if (found == context.client_metadata().end() ||
        !namespaces.contains(std::string(found->second.data(), found->second.size())))
      return Status(StatusCode::NOT_FOUND, "no such namespace");
    const auto container = containers.find(id);
    if (container == containers.end())
      return Status(StatusCode::NOT_FOUND, "container " + id + ": not found");
    task = container->second;
    return Status::OK;
  }
};

#define ENTER(step)                                \
  std::unique_lock<std::mutex> lock(state_.mutex); \
  if (Status s = state_.Enter(lock, step); !s.ok()) return s

#define ENTER_TASK(step)                                                                  \
  std::unique_lock<std::mutex> lock(state_.mutex);                                        \
  if (Status s = state_.Enter(lock, step, request->container_id()); !s.ok()) return s;    \
  std::shared_ptr<Task> task;                                                             \
  if (Status s = state_.Find(*context, request->container_id(), task); !s.ok()) return s; \
  if (*task == Task::kNone) return Status(StatusCode::NOT_FOUND, "no task: not found")

class HealthService : public health_api::Health::Service {
 public:
  explicit HealthService(State& state) : state_(state) {}
  Status Check(ServerContext*, const health_api::HealthCheckRequest*,
               health_api::HealthCheckResponse* response) override {
    ENTER("health");
    response->set_status(state_.script.serving ? health_api::HealthCheckResponse::SERVING
                                               : health_api::HealthCheckResponse::NOT_SERVING);
    return Status::OK;
  }

 private:
  State& state_;
};

class VersionService : public version_api::Version::Service {
 public:
  explicit VersionService(State& state) : state_(state) {}
  Status Version(ServerContext*, const Empty*, version_api::VersionResponse* response) override {
    ENTER("version");
    response->set_version("1.7.24~fake");
    return Status::OK;
  }

 private:
  State& state_;
};

class IntrospectionService : public introspection_api::Introspection::Service {
 public:
  explicit IntrospectionService(State& state) : state_(state) {}
  Status Plugins(ServerContext*, const introspection_api::PluginsRequest*,
                 introspection_api::PluginsResponse* response) override {
    ENTER("plugins");
    for (const FakePlugin& plugin : state_.script.plugins) {
      auto& added = *response->add_plugins();
      added.set_type(plugin.type);
      added.set_id(plugin.id);
      if (!plugin.error.empty()) added.mutable_init_err()->set_message(plugin.error);
    }
    return Status::OK;
  }

 private:
  State& state_;
};

class CriService : public cri_api::RuntimeService::Service {
 public:
  explicit CriService(State& state) : state_(state) {}
  grpc::Status Status(ServerContext*, const cri_api::StatusRequest* request,
                      cri_api::StatusResponse* response) override {
    std::unique_lock<std::mutex> lock(state_.mutex);
    if (grpc::Status s = state_.Enter(lock, "settings"); !s.ok()) return s;
    if (request->verbose()) (*response->mutable_info())["config"] = state_.script.settings;
    return ::grpc::Status::OK;
  }

 private:
  State& state_;
};

class NamespacesService : public namespaces_api::Namespaces::Service {
 public:
  explicit NamespacesService(State& state) : state_(state) {}
  Status Create(ServerContext*, const namespaces_api::CreateNamespaceRequest* request,
                namespaces_api::CreateNamespaceResponse*) override {
    ENTER("namespace create");
    if (!state_.namespaces.insert(request->namespace_().name()).second)
      return Status(StatusCode::ALREADY_EXISTS, "namespace: already exists");
    return Status::OK;
  }

 private:
  State& state_;
};

class ContainersService : public containers_api::Containers::Service {
 public:
  explicit ContainersService(State& state) : state_(state) {}
  Status List(ServerContext*, const containers_api::ListContainersRequest*,
              containers_api::ListContainersResponse* response) override {
    ENTER("container list");
    for (const auto& [id, task] : state_.containers) response->add_containers()->set_id(id);
    return Status::OK;
  }
  Status Create(ServerContext*, const containers_api::CreateContainerRequest* request,
                containers_api::CreateContainerResponse*) override {
    ENTER("container create");
    const std::string& id = request->container().id();
    const Task task = state_.script.lost_tasks.erase(id) > 0 ? Task::kRunning : Task::kNone;
    if (!state_.containers.emplace(id, std::make_shared<Task>(task)).second)
      return Status(StatusCode::ALREADY_EXISTS, "container: already exists");
    return Status::OK;
  }
  Status Delete(ServerContext* context, const containers_api::DeleteContainerRequest* request,
                Empty*) override {
    ENTER("container delete");
    std::shared_ptr<Task> task;
    if (Status s = state_.Find(*context, request->id(), task); !s.ok()) return s;
    if (*task != Task::kNone)
      return Status(StatusCode::FAILED_PRECONDITION, "container has a task");
    state_.containers.erase(request->id());
    return Status::OK;
  }

 private:
  State& state_;
};

class TasksService : public tasks_api::Tasks::Service {
 public:
  explicit TasksService(State& state) : state_(state) {}
  Status List(ServerContext*, const tasks_api::ListTasksRequest*,
              tasks_api::ListTasksResponse* response) override {
    ENTER("task list");
    for (const auto& [id, task] : state_.containers)
      if (*task != Task::kNone) response->add_tasks()->set_id(id);
    for (const std::string& id : state_.script.lost_tasks) response->add_tasks()->set_id(id);
    return Status::OK;
  }
  Status Create(ServerContext* context, const tasks_api::CreateTaskRequest* request,
                tasks_api::CreateTaskResponse*) override {
    const std::string& id = request->container_id();
    {
      const std::lock_guard lock(state_.mutex);
      if (!state_.bundles.insert(id).second)
        return Status(StatusCode::UNKNOWN, "mkdir " + id + ": file exists");
    }
    ENTER("task create");
    std::shared_ptr<Task> task;
    if (Status s = state_.Find(*context, id, task); !s.ok()) return s;
    *task = Task::kCreated;
    return Status::OK;
  }
  Status Start(ServerContext* context, const tasks_api::StartRequest* request,
               tasks_api::StartResponse*) override {
    ENTER_TASK("task start");
    *task = Task::kRunning;
    return Status::OK;
  }
  Status Wait(ServerContext* context, const tasks_api::WaitRequest* request,
              tasks_api::WaitResponse* response) override {
    ENTER_TASK("task wait");
    if (!state_.script.never_ends) *task = Task::kEnded;
    // Killed, and perhaps deleted since.
    const auto over = [&] { return *task == Task::kEnded || *task == Task::kNone; };
    state_.changed.wait(lock, [&] { return state_.closing || over(); });
    response->set_exit_status(state_.script.exit_code);
    return Status::OK;
  }
  Status Kill(ServerContext* context, const tasks_api::KillRequest* request, Empty*) override {
    ENTER_TASK("task kill");
    if (*task == Task::kEnded)
      return Status(StatusCode::NOT_FOUND, "process already finished: not found");
    *task = Task::kEnded;
    state_.changed.notify_all();
    return Status::OK;
  }
  Status Delete(ServerContext* context, const tasks_api::DeleteTaskRequest* request,
                tasks_api::DeleteResponse*) override {
    ENTER_TASK("task delete");
    if (*task == Task::kRunning)
      return Status(StatusCode::FAILED_PRECONDITION, "task must be stopped before deletion");
    *task = Task::kNone;
    state_.bundles.erase(request->container_id());
    return Status::OK;
  }

 private:
  State& state_;
};

}  // namespace

class FakeContainerd::Server {
 public:
  Server(const std::string& socket, Script script) {
    for (const std::string& id : script.containers)
      state_.containers[id] = std::make_shared<Task>(Task::kRunning);
    state_.script = std::move(script);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &health_, &version_, &introspection_, &cri_, &namespaces_, &containers_, &tasks_})
      builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (!server_) throw std::runtime_error("cannot listen on " + socket);
  }

  ~Server() {
    {
      const std::lock_guard lock(state_.mutex);
      state_.closing = true;
      state_.changed.notify_all();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  State& state() { return state_; }

 private:
  State state_;
  HealthService health_{state_};
  VersionService version_{state_};
  IntrospectionService introspection_{state_};
  CriService cri_{state_};
  NamespacesService namespaces_{state_};
  ContainersService containers_{state_};
  TasksService tasks_{state_};
  std::unique_ptr<grpc::Server> server_;
};

FakeContainerd::FakeContainerd(const std::string& socket, Script script)
    : server_(std::make_unique<Server>(socket, std::move(script))) {}

FakeContainerd::~FakeContainerd() = default;

std::vector<std::string> FakeContainerd::steps() const {
  const std::lock_guard lock(server_->state().mutex);
  return server_->state().steps;
}

std::vector<std::string> FakeContainerd::containers() const {
  const std::lock_guard lock(server_->state().mutex);
  std::vector<std::string> ids;
  for (const auto& [id, task] : server_->state().containers) ids.push_back(id);
  return ids;
}

}  // namespace hostos

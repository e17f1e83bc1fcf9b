#include "master/operations/master_metrics.h"

#include <string>

#include "common/http/families.h"

namespace appendfs {
namespace {

using prometheus::MetricFamily;
using Label = prometheus::ClientMetric::Label;

void AddCluster(const v1::GetStatusResponse& status, std::vector<MetricFamily>& all) {
  auto gauge = [&all](const char* name, const char* help, auto value) {
    all.push_back(GaugeFamily(name, help, static_cast<double>(value)));
  };
  auto health = GaugeFamily("appendfs_cluster_health", "1 for what the cluster's health is.");
  for (const char* word : {"ok", "degraded", "critical"})
    health.metric.push_back(GaugeValue(status.health() == word ? 1 : 0, {{"health", word}}));
  all.push_back(std::move(health));
  gauge("appendfs_cluster_safe_mode", "1: too few servers have reported since the start.",
        status.safe_mode());
  gauge("appendfs_cluster_sessions", "Mounts and other clients with a session.", status.sessions());
  gauge("appendfs_cluster_inodes", "Files, directories and others in the namespace.",
        status.inodes());
  auto chunks = GaugeFamily("appendfs_cluster_chunks", "Chunks, by what is going on with them.");
  const uint64_t open = status.open_chunks(), recovering = status.recovering_chunks();
  const uint64_t parked = status.parked_chunks();
  chunks.metric.push_back(GaugeValue(static_cast<double>(open), {{"state", "open"}}));
  chunks.metric.push_back(GaugeValue(static_cast<double>(recovering), {{"state", "recovering"}}));
  chunks.metric.push_back(GaugeValue(static_cast<double>(parked), {{"state", "parked"}}));
  chunks.metric.push_back(GaugeValue(
      static_cast<double>(status.chunks() - open - recovering - parked), {{"state", "sealed"}}));
  all.push_back(std::move(chunks));
  gauge("appendfs_cluster_under_replicated_chunks", "Chunks with fewer than three good replicas.",
        status.under_replicated_chunks());
  gauge("appendfs_cluster_damaged_replicas", "Replicas known to be damaged.",
        status.damaged_replicas());
  gauge("appendfs_cluster_capacity_bytes", "Raw room on all live servers.",
        status.capacity_bytes());
  gauge("appendfs_cluster_available_bytes", "Raw room that is free on all live servers.",
        status.available_bytes());
}

void AddServers(const v1::ListServersResponse& servers, std::vector<MetricFamily>& all) {
  auto up = GaugeFamily("appendfs_server_up", "1: the chunkserver's heartbeats come.");
  auto age = GaugeFamily("appendfs_server_heartbeat_age_seconds", "Since its last heartbeat.");
  auto replicas = GaugeFamily("appendfs_server_replicas", "Chunk replicas that it reports.");
  auto capacity = GaugeFamily("appendfs_server_capacity_bytes", "Size of its disks.");
  auto available = GaugeFamily("appendfs_server_available_bytes", "Free on its disks.");
  for (const v1::ServerInfo& server : servers.servers()) {
    const std::vector<Label> labels = {{"server", std::to_string(server.server_id())},
                                       {"address", server.address()}};
    up.metric.push_back(GaugeValue(server.alive() ? 1 : 0, labels));
    age.metric.push_back(GaugeValue(static_cast<double>(server.heartbeat_age_ms()) / 1000, labels));
    replicas.metric.push_back(GaugeValue(static_cast<double>(server.chunks()), labels));
    capacity.metric.push_back(GaugeValue(static_cast<double>(server.capacity_bytes()), labels));
    available.metric.push_back(GaugeValue(static_cast<double>(server.available_bytes()), labels));
  }
  for (auto* family : {&up, &age, &replicas, &capacity, &available})
    all.push_back(std::move(*family));
}

}  // namespace

std::vector<MetricFamily> MasterMetrics::Collect() const {
  std::vector<MetricFamily> all;
  if (const auto status = status_(); status.ok()) AddCluster(*status, all);
  AddServers(servers_(), all);
  return all;
}

}  // namespace appendfs

// SPDX-License-Identifier: Apache-2.0
// A video room on GLib, after Janus Gateway 1.3.0.
//
// A `configure` request changes a participant's streams under `participant->streams_mutex` and,
// still holding it, asks the publisher for a key frame, which takes that publisher's
// `handle->mutex`. An admin query holds `handle->mutex` while the plug-in lists the streams, under
// `participant->streams_mutex`. GMutex is built on futexes: nothing in it says who owns it.
//
// The repair is that of the original: key frames are asked for after the streams are unlocked.
//
// With N threads there are N/2 participants in a ring, each subscribed to the next one, and so
// N/2 configure and N/2 admin threads; if N is odd, one more admin query queues up behind them.
//
// RUN(broken, broken-renamed): gordian run -- %program
// RUN(broken@3):               gordian run -- %program 3
// RUN(broken@5):               gordian run -- %program 5
// RUN(broken@8):               gordian run -- %program 8
// EXIT(broken*):               66
// EXPECT(broken):              DEADLOCK: 2 threads, 2 locks
// JSON(broken*):               findings=1
// JSON(broken):                verdict=deadlock kind=lock-order knot=configure-1,admin-1
// JSON(broken, broken@?):      verdict=deadlock locks=participant->streams_mutex,handle->mutex
// JSON(broken@3):              verdict=deadlock kind=lock-order knot=configure-1,admin-1
// JSON(broken@5):              knot=configure-1,admin-1,configure-2,admin-2
// JSON(broken@8):              verdict=deadlock kind=lock-order knot=8
// JSON(broken-renamed):        verdict=deadlock kind=lock-order locks=ferry->amber,tower->cobalt
// JSON(broken-renamed):        knot=configure-1,admin-1
// REJECT(broken-renamed):      streams_mutex
//
// RUN(lucky):  gordian run -- %program
// EXIT(lucky): 0
// JSON(lucky): verdict=possible kind=lock-order locks=participant->streams_mutex,handle->mutex
//
// RUN(repaired):                    gordian run --summary -- %program
// RUN(trylock):                     gordian run -- %program
// RUN(repaired@8):                  gordian run --summary -- %program 8
// RUN(gate):                        gordian run --refuted -- %program
// REPEAT(repaired):                 200
// TIMEOUT(repaired*):               30
// EXPECT(repaired*):                with another lock held
// EXIT(repaired*, trylock, gate):   0
// REJECT(repaired*, trylock, gate): DEADLOCK
// JSON(repaired*, trylock, gate):   findings=0
// JSON(gate):                       verdict=refuted kind=lock-order
#include "support/steps.h"
#include "support/twin.h"

#include <barrier>
#include <cstdio>
#include <glib.h>
#include <memory>
#include <string>
#include <vector>

#ifdef SCENARIO_RENAMED
#define Participant Ferry
#define participant ferry
#define streams_mutex amber
#define Handle Tower
#define handle tower
#define mutex cobalt
#define configure paint
#define request_key_frame ring_bell
#define query_session count_boats
#define handle_info climb
#define configure_thread painter
#define admin_thread climber
#define late_admin_thread late_climber
#endif

using scenario::kThreadsMeetHoldingLocks;
using scenario::kTwin;
using scenario::Twin;

// Enough for the threads of the twins that end to overlap many times.
constexpr int kRounds = 200;

struct Stream {
  int mid = 0;
  bool enabled = false;
  bool needs_key_frame = false;
};

struct Participant;

// One connection of a user to the gateway.
struct Handle {
  guint64 id = 0;
  GMutex mutex = {};
  guint key_frame_requests = 0;
  Participant* session = nullptr;
};

// That user in the room.
struct Participant {
  guint64 id = 0;
  GMutex streams_mutex = {};
  GList* streams = nullptr;
  Handle* publisher = nullptr;  // whom we watch
};

struct Room {
  explicit Room(int count) : handles(count), participants(count) {
    for (int i = 0; i < count; ++i) {
      handles[i] = std::make_unique<Handle>();
      participants[i] = std::make_unique<Participant>();
    }
    for (int i = 0; i < count; ++i) {
      handles[i]->id = 100 + i;
      handles[i]->session = participants[i].get();
      participants[i]->id = 1 + i;
      participants[i]->publisher = handles[(i + 1) % count].get();
      for (int mid = 0; mid < 3; ++mid) {
        participants[i]->streams = g_list_append(participants[i]->streams, new Stream{.mid = mid});
      }
    }
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    for (const auto& one : participants) {
      g_list_free_full(one->streams, [](gpointer data) { delete static_cast<Stream*>(data); });
      g_mutex_clear(&one->streams_mutex);
    }
    for (const auto& one : handles) g_mutex_clear(&one->mutex);
  }

  GMutex rooms_mutex = {};  // only the twin with a gate takes it
  std::vector<std::unique_ptr<Handle>> handles;
  std::vector<std::unique_ptr<Participant>> participants;
};

// What a thread of the story is started with.
struct Task {
  Room* room;
  int index;
  std::barrier<>* each_holds_one;
  scenario::Steps* configured;  // threads that have configured all they wanted
};

// Asks the peer behind `handle` for a key frame. False: not now.
SCENARIO_FRAME static bool request_key_frame(Handle* handle) {
  if constexpr (kTwin == Twin::Trylock) {
    if (!g_mutex_trylock(&handle->mutex)) return false;
  } else {
    g_mutex_lock(&handle->mutex);
  }
  ++handle->key_frame_requests;
  g_mutex_unlock(&handle->mutex);
  return true;
}

// Serves "configure": enables a stream, which then needs a key frame from the publisher.
SCENARIO_FRAME static void configure(Participant* participant, int mid, std::barrier<>* meet) {
  g_mutex_lock(&participant->streams_mutex);
  bool owed = false;
  for (GList* at = participant->streams; at != nullptr; at = at->next) {
    auto* stream = static_cast<Stream*>(at->data);
    if (stream->mid != mid) continue;
    stream->enabled = !stream->enabled;
    stream->needs_key_frame = true;
    if (meet != nullptr) meet->arrive_and_wait();
    if constexpr (kTwin == Twin::Repaired) {
      owed = true;
    } else {
      owed = !request_key_frame(participant->publisher);
    }
    stream->needs_key_frame = owed;
  }
  g_mutex_unlock(&participant->streams_mutex);
  while (owed) owed = !request_key_frame(participant->publisher);
}

// The plug-in's part of the admin query.
SCENARIO_FRAME static int query_session(Participant* participant) {
  int enabled = 0;
  g_mutex_lock(&participant->streams_mutex);
  for (GList* at = participant->streams; at != nullptr; at = at->next) {
    if (static_cast<Stream*>(at->data)->enabled) ++enabled;
  }
  g_mutex_unlock(&participant->streams_mutex);
  return enabled;
}

// Serves the admin query "handle_info".
SCENARIO_FRAME static std::string handle_info(Handle* handle, std::barrier<>* meet) {
  g_mutex_lock(&handle->mutex);
  if (meet != nullptr) meet->arrive_and_wait();
  std::string info = "handle " + std::to_string(handle->id) + ": ";
  info += std::to_string(query_session(handle->session)) + " streams, ";
  info += std::to_string(handle->key_frame_requests) + " key frames";
  g_mutex_unlock(&handle->mutex);
  return info;
}

static gpointer configure_thread(gpointer data) {
  auto* task = static_cast<Task*>(data);
  for (int round = 0; round < kRounds; ++round) {
    const bool first = round == 0 && kThreadsMeetHoldingLocks;
    if constexpr (kTwin == Twin::Gate) g_mutex_lock(&task->room->rooms_mutex);
    configure(task->room->participants[task->index].get(), round % 3,
              first ? task->each_holds_one : nullptr);
    if constexpr (kTwin == Twin::Gate) g_mutex_unlock(&task->room->rooms_mutex);
  }
  task->configured->advance();
  return nullptr;
}

static gpointer admin_thread(gpointer data) {
  auto* task = static_cast<Task*>(data);
  size_t length = 0;
  if (kTwin == Twin::Lucky) task->configured->wait_for(task->room->handles.size());
  for (int round = 0; round < kRounds; ++round) {
    const bool first = round == 0 && kThreadsMeetHoldingLocks;
    if constexpr (kTwin == Twin::Gate) g_mutex_lock(&task->room->rooms_mutex);
    length +=
        handle_info(task->room->handles[task->index].get(), first ? task->each_holds_one : nullptr)
            .size();
    if constexpr (kTwin == Twin::Gate) g_mutex_unlock(&task->room->rooms_mutex);
  }
  return GSIZE_TO_POINTER(length);
}

// Comes when all others hold a lock.
static gpointer late_admin_thread(gpointer data) {
  auto* task = static_cast<Task*>(data);
  if (kThreadsMeetHoldingLocks) task->each_holds_one->arrive_and_wait();
  if constexpr (kTwin == Twin::Gate) g_mutex_lock(&task->room->rooms_mutex);
  const size_t length = handle_info(task->room->handles[0].get(), nullptr).size();
  if constexpr (kTwin == Twin::Gate) g_mutex_unlock(&task->room->rooms_mutex);
  return GSIZE_TO_POINTER(length);
}

int main(int argc, char** argv) {
  const int threads = scenario::thread_count(argc, argv, 2, 2);
  Room room(threads / 2);
  std::barrier<> each_holds_one(threads);
  scenario::Steps configured;

  std::vector<Task> tasks;
  for (int i = 0; i < threads / 2; ++i) tasks.push_back({&room, i, &each_holds_one, &configured});
  std::vector<GThread*> started;
  for (int i = 0; i < threads / 2; ++i) {
    const std::string number = std::to_string(i + 1);
    started.push_back(g_thread_new(("configure-" + number).c_str(), configure_thread, &tasks[i]));
    started.push_back(g_thread_new(("admin-" + number).c_str(), admin_thread, &tasks[i]));
  }
  if (threads % 2 != 0) {
    started.push_back(g_thread_new("admin-late", late_admin_thread, &tasks[0]));
  }
  for (GThread* thread : started) g_thread_join(thread);
  for (const auto& one : room.handles) {
    std::printf("%u key frames asked of handle %u\n", one->key_frame_requests,
                static_cast<unsigned>(one->id));
  }
}

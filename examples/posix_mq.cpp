// SPDX-License-Identifier: Apache-2.0
//
// A workshop that takes jobs from any number of programs through POSIX message queues; what is
// urgent goes before all that waits.
//
//   build/bin/posix_mq serve mq:///workshop                one terminal; ends after `stop`
//   build/bin/posix_mq send mq:///workshop 0 paint         another: any number of jobs
//   build/bin/posix_mq send mq:///workshop 31 fire!        is done first
//   build/bin/posix_mq send mq:///workshop 0 stop
//   build/bin/posix_mq day mq:///workshop                  all of that in one program
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

/// Says what it does until it is told to stop.
void work(Listener& listener) {
  for (bool open = true; open;) {
    Channel client = or_exit(listener.accept(never));
    while (auto job = client.receive(10s)) {
      std::cout << job->priority() << ' ' << job->text() << std::endl;
      open = open && job->text() != "stop";
    }
  }
}

void send(Channel& workshop, unsigned priority, std::string_view job) {
  Message message{as_bytes(job)};
  message.set_priority(priority);
  or_exit(workshop.send(message, 5s));
}

/// Jobs that came while nobody worked: the kernel keeps them in order of priority.
void day(const char* address) {
  Listener listener = or_exit(listen(address));
  {
    Channel workshop = or_exit(connect(address, 2s));
    send(workshop, 0, "paint the hull");
    send(workshop, 0, "stop");
    send(workshop, 31, "fire!");
    send(workshop, 7, "pump");
  }
  work(listener);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb == "serve" && argc == 3) {
    Listener listener = or_exit(listen(argv[2]));
    std::cout << "open" << std::endl;
    work(listener);
  } else if (verb == "send" && argc == 5) {
    Channel workshop = or_exit(connect(argv[2], 2s, {.needs = {.priority = true}}));
    send(workshop, static_cast<unsigned>(std::atoi(argv[3])), argv[4]);
  } else if (verb == "day" && argc == 3) {
    day(argv[2]);
  } else {
    std::cerr << "usage: posix_mq serve|day ADDRESS | posix_mq send ADDRESS PRIORITY JOB\n";
    return 2;
  }
}

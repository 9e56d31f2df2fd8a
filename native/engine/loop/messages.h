// What crosses between JavaScript and the loop: records of eight numbers, and the bytes that some of them point at.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>
#include "../h2/stream.h"

namespace aq {

// `slot, generation` is the object that is meant. The arguments a, b, c and the bytes follow in brackets.
#define AQ_COMMANDS(X)                                                                                                 \
  X(listen)   /* a new listener [fd] */                                                                                \
  X(dial)     /* a new TCP end [fd, port | ip as text] */                                                              \
  X(read)     /* one answer by event `read` [at most] */                                                               \
  X(unread)   /* no more data than was asked for until now: answers what is still owed */                              \
  X(unshift)  /* what JavaScript read is to be read again [| bytes] */                                                 \
  X(write)    /* [1: `drained` is wanted | bytes] */                                                                   \
  X(end)      /* FIN or END_STREAM behind what was written [1: `drained` is wanted] */                                                    \
  X(close)    /* of ends, tunnels and listeners */                                                                     \
  X(reset)    /* TCP RST or RST_STREAM [code] */                                                                       \
  X(relay)    /* joins two ends [peer's slot, peer's generation, counters] */                                          \
  /* As `relay`, once the peer stands: a dial has connected, a CONNECT was answered by 200. Who is meant, where it is a  \
     request, gets 200 then. Nothing where the peer fails. [peer's slot, peer's generation, counters | headers] */        \
  X(relayWhen)                                                                                                         \
  X(tunnel)   /* a new tunnel on a TCP end, which is gone then [its slot, its generation, context] */                  \
  X(accepted) /* the peer of a handshake is who it should be */                                                        \
  X(refuse)   /* it is not [alert | reason] */                                                                         \
  X(open)     /* a new stream of a tunnel [its slot, its generation | headers] */                                      \
  X(respond)  /* [status, 1: and END_STREAM | headers] */                                                              \
  X(ping)                                                                                                              \
  X(heard)    /* asks for event `heard`, if bytes came since `ping` or since this was asked last */                    \
  X(goaway)   /* [code, 1: gracefully] */                                                                              \
  X(planOut)  /* a new plan of a listener [its slot, its generation, most streams | see Plan] */                       \
  X(planIn)   /* a new plan of a tunnel [its slot, its generation | see Plan] */                                       \
  X(stock)    /* a new stock of sockets */                                                                             \
  X(supply)   /* of a stock [fd] */                                                                                    \
  X(revisit)  /* what plans began before the last of these, and does not stand yet, is asked for */                    \
  X(freeze)   /* a new unit [slot, generation of a tunnel, or of a relay's downstream end] */                          \
  X(restore)  /* a new unit of another loop [memfd | descriptors, each four bytes] */                                  \
  X(live)     /* a unit begins here, or goes on */                                                                     \
  X(forget)   /* a unit is another loop's: closed here without a trace on the wire */

#define AQ_EVENTS(X)                                                                                                   \
  X(accepted)     /* by a listener [slot, generation, fd | port, address] */                                           \
  X(acceptFailed) /* [errno] */                                                                                        \
  X(connected)    /* a dial ended [errno or 0, 1: and is relayed] */                                                   \
  X(read)         /* [ReadResult, errno | data] */                                                                     \
  X(drained)                                                                                                           \
  X(broken)       /* writing failed [errno] */                                                                         \
  X(relayed)      /* both ends are gone [RelayEnd, errno or code] */                                                   \
  X(handshaken)   /* [| ALPN, chain] */                                                                                \
  X(settings)     /* [streams that the peer allows, as unsigned] */                                                    \
  X(pong)                                                                                                              \
  X(heard)                                                                                                             \
  X(goaway)       /* [code] */                                                                                         \
  X(request)      /* by a tunnel [slot, generation | headers] */                                                       \
  X(response)     /* [status, 1: and is relayed | headers] */                                                          \
  X(refused)      /* a stream could not be opened; it is gone */                                                       \
  X(streamClosed) /* it is gone [code, 1: by the peer, 1: unprocessed] */                                              \
  X(flooded)      /* the peer resets too fast */                                                                       \
  X(failed)       /* the tunnel is gone [kind, alert or code | reason] */                                              \
  X(closed)       /* the tunnel is gone, in order; a listener or a plan is */                                          \
  X(begun)        /* by a plan: is relayed [slot, generation, counters | who] */                                       \
  X(missed)       /* by a plan: will not be [slot, generation, status, 0: who asked has gone | who] */                 \
  X(taken)        /* of a stock [sockets] */                                                                           \
  X(frozen)       /* [memfd, descriptors | those, and of each relay the slots and generations of downstream and upstream] */ \
  X(unmoved)      /* it stays, and the unit is gone [1: for want of descriptors | reason] */                           \
  X(restored)     /* [slot, generation, 1: of its tunnel | of each relay: downstream's there, downstream's here, counters] */ \
  X(unreadable)   /* the unit is gone [| reason] */

enum class Command : int32_t {
#define X(name) name,
  AQ_COMMANDS(X)
#undef X
};

enum class Event : int32_t {
#define X(name) name,
  AQ_EVENTS(X)
#undef X
};

enum class ReadResult : int32_t { data, end, failed, nothing };

enum class RelayEnd : int32_t { complete, failed, streamReset, connectionLost };

struct Id {
  // Below 0: named by JavaScript; else by the loop.
  int32_t slot = 0;
  int32_t generation = 0;

  bool operator==(const Id &) const = default;
};

struct Message {
  int32_t type = 0;
  int32_t slot = 0;
  int32_t generation = 0;
  int32_t a = 0, b = 0, c = 0;
  uint32_t offset = 0, length = 0;

  Id id() const { return {slot, generation}; }
};
static_assert(sizeof(Message) == 32);

struct Batch {
  std::vector<Message> records;
  std::vector<uint8_t> bytes;

  std::string_view text(const Message &m) const {
    return {reinterpret_cast<const char *>(bytes.data()) + m.offset, m.length};
  }
  bool empty() const { return records.empty(); }
  void clear() {
    records.clear();
    bytes.clear();
    // A burst shall not be held for ever.
    if (bytes.capacity() > (1u << 20)) bytes.shrink_to_fit();
  }
  void append(const Batch &other) {
    const auto base = static_cast<uint32_t>(bytes.size());
    bytes.insert(bytes.end(), other.bytes.begin(), other.bytes.end());
    for (Message m : other.records) {
      m.offset += base;
      records.push_back(m);
    }
  }
};

// Pieces behind each other, each behind its length: four bytes in the machine's own order.
inline void putPiece(std::vector<uint8_t> &to, std::string_view piece) {
  const auto size = static_cast<uint32_t>(piece.size());
  const auto *raw = reinterpret_cast<const uint8_t *>(&size);
  to.insert(to.end(), raw, raw + 4);
  to.insert(to.end(), piece.begin(), piece.end());
}

inline bool takePiece(std::string_view &from, std::string_view &piece) {
  uint32_t size;
  if (from.size() < 4) return false;
  memcpy(&size, from.data(), 4);
  from.remove_prefix(4);
  if (from.size() < size) return false;
  piece = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

// Names and values behind each other.
inline void takeHeaders(std::string_view text, std::vector<Header> &to) {
  Header h;
  while (takePiece(text, h.name) && takePiece(text, h.value)) to.push_back(h);
}

// native/engine.ts has the same text; a border that differs is refused when the addon is loaded.
inline constexpr std::string_view kAbi =
#define X(name) #name ","
    "commands:" AQ_COMMANDS(X) "events:" AQ_EVENTS(X) "record:8";
#undef X

} // namespace aq

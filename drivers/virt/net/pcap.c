// Headers of captures. Called for each frame of a port that is captured, and by who makes a file.
#include "drivers/virt/net/pcap.h"

#include "lib/bytes.h"

#define MAGIC_NANOSECONDS 0xa1b23c4du
#define VERSION_MAJOR     2
#define VERSION_MINOR     4
#define LINK_ETHERNET     1
#define SECOND            UINT64_C(1000000000)

void net_pcap_file(uint8_t header[NET_PCAP_FILE], uint32_t snap)
{
    put32(header, MAGIC_NANOSECONDS);
    put16(header + 4, VERSION_MAJOR);
    put16(header + 6, VERSION_MINOR);
    put64(header + 8, 0);
    put32(header + 16, snap);
    put32(header + 20, LINK_ETHERNET);
}

void net_pcap_record(uint8_t header[NET_PCAP_RECORD], uint64_t now, uint32_t captured,
                     uint32_t length)
{
    put32(header, (uint32_t)(now / SECOND));
    put32(header + 4, (uint32_t)(now % SECOND));
    put32(header + 8, captured);
    put32(header + 12, length);
}

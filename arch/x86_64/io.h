// Port I/O and memory-mapped registers: one instruction each, so that a driver's accesses are what
// its device sees. The ports and addresses are the caller's responsibility; nothing here can fail.
#pragma once

#include <stdint.h>

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint16_t in16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

// Registers in memory: the compiler may neither split, merge nor move these accesses. The page must
// be mapped uncacheable, `offset` is in bytes from `base`.
static inline uint32_t mmio_read32(const volatile void *base, uint32_t offset)
{
    uint32_t value;
    __asm__ volatile("movl %1, %0"
                     : "=r"(value)
                     : "m"(*(const volatile uint32_t *)((const volatile char *)base + offset))
                     : "memory");
    return value;
}

static inline void mmio_write8(volatile void *base, uint32_t offset, uint8_t value)
{
    __asm__ volatile("movb %1, %0"
                     : "=m"(*(volatile uint8_t *)((volatile char *)base + offset))
                     : "q"(value)
                     : "memory");
}

static inline void mmio_write32(volatile void *base, uint32_t offset, uint32_t value)
{
    __asm__ volatile("movl %1, %0"
                     : "=m"(*(volatile uint32_t *)((volatile char *)base + offset))
                     : "r"(value)
                     : "memory");
}

#include "iouring/disk_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iouring/disk_inside.h"
#include "shm/check.h"
#include "shm/clock.h"
#include "shm/sim.h"

enum { SECTOR = IOU_SIM_SECTOR_BYTES };

struct iou_disk iou_disk;

static void *disk_resize(void *memory, size_t size_bytes)
{
    void *more = realloc(memory, size_bytes);
    CHECK(more != NULL);
    return more;
}

bool iou_disk_draw(uint32_t rate)
{
    return rate > 0 && shm_random_below(&iou_disk.chance, 10000) < rate;
}

static uint64_t disk_below(uint64_t bound)
{
    return shm_random_below(&iou_disk.chance, bound);
}

uint64_t iou_disk_now(void)
{
    return shm_sim_running() ? shm_sim_now_ns() : SHM_CLOCK_NEVER;
}

/* Most operations are fast and a few are not, as on a disk with other users. */
uint64_t iou_disk_delay(void)
{
    uint64_t max = iou_disk.faults.delay_ns_max;
    if (max == 0) return 0;
    return disk_below((disk_below(16) ? max / 16 : max) + 1);
}

void iou_disk_pause(void)
{
    shm_sim_yield();
    uint64_t delay = shm_sim_running() ? iou_disk_delay() : 0;
    if (delay > 0) shm_clock_sleep_until(shm_clock_ns() + delay);
    iou_disk_advance();
}

/* ---- Names ----------------------------------------------------------------------------------- */

static struct iou_disk_name *names_find(const struct iou_disk_names *names, const char *text)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].text, text) == 0) return &names->list[i];
    return NULL;
}

static void names_set(struct iou_disk_names *names, const char *text, uint32_t inode)
{
    struct iou_disk_name *name = names_find(names, text);
    if (!name) {
        if (names->count == names->room) {
            names->room = names->room ? 2 * names->room : 8;
            names->list = disk_resize(names->list, names->room * sizeof *names->list);
        }
        name = &names->list[names->count++];
        memset(name, 0, sizeof *name);
        memcpy(name->text, text, strlen(text));
    }
    name->inode = inode;
}

static void names_unset(struct iou_disk_names *names, const char *text)
{
    struct iou_disk_name *name = names_find(names, text);
    if (name) *name = names->list[--names->count];
}

static void names_copy(struct iou_disk_names *to, const struct iou_disk_names *from)
{
    to->count = 0;
    for (uint32_t i = 0; i < from->count; i++)
        names_set(to, from->list[i].text, from->list[i].inode);
}

/* False: it has no sense here, since a change before it was lost. */
static bool names_apply(struct iou_disk_names *names, const struct iou_disk_change *change)
{
    if (change->from[0]) {
        struct iou_disk_name *name = names_find(names, change->from);
        if (!name || name->inode != change->inode) return false;
        names_unset(names, change->from);
    }
    if (change->to[0]) names_set(names, change->to, change->inode);
    return true;
}

uint32_t iou_disk_find(uint32_t directory, const char *text)
{
    const struct iou_disk_name *name = names_find(&iou_disk_inode(directory)->names, text);
    return name ? name->inode : 0;
}

void iou_disk_change(uint32_t directory, const char *from, const char *to, uint32_t inode)
{
    struct iou_disk_inode *d = iou_disk_inode(directory);
    struct iou_disk_change change = {.inode = inode};

    CHECK(d->directory);
    CHECK(strlen(from) < sizeof change.from);
    CHECK(strlen(to) < sizeof change.to);
    memcpy(change.from, from, strlen(from));
    memcpy(change.to, to, strlen(to));
    if (d->change_count == d->change_room) {
        d->change_room = d->change_room ? 2 * d->change_room : 8;
        d->changes = disk_resize(d->changes, d->change_room * sizeof *d->changes);
    }
    d->changes[d->change_count++] = change;
    CHECK(names_apply(&d->names, &change));
}

void iou_disk_directory_sync(uint32_t directory)
{
    struct iou_disk_inode *d = iou_disk_inode(directory);
    CHECK(d->directory);
    names_copy(&d->durable, &d->names);
    d->change_count = 0;
    iou_disk_sweep();
}

/* ---- Inodes and descriptors ------------------------------------------------------------------ */

uint32_t iou_disk_inode_make(bool directory)
{
    uint32_t number = IOU_DISK_ROOT;
    while (number < iou_disk.inode_count && iou_disk.inodes[number])
        number++;
    if (number >= iou_disk.inode_count) {
        uint32_t count = iou_disk.inode_count ? 2 * iou_disk.inode_count : 16;
        iou_disk.inodes = disk_resize(iou_disk.inodes, count * sizeof *iou_disk.inodes);
        memset(iou_disk.inodes + iou_disk.inode_count, 0,
               (count - iou_disk.inode_count) * sizeof *iou_disk.inodes);
        iou_disk.inode_count = count;
    }
    struct iou_disk_inode *inode = calloc(1, sizeof *inode);
    CHECK(inode != NULL);
    inode->directory = directory;
    iou_disk.inodes[number] = inode;
    return number;
}

struct iou_disk_inode *iou_disk_inode(uint32_t number)
{
    CHECK(number > 0);
    CHECK(number < iou_disk.inode_count);
    CHECK(iou_disk.inodes[number] != NULL);
    return iou_disk.inodes[number];
}

static void inode_free(uint32_t number)
{
    struct iou_disk_inode *inode = iou_disk_inode(number);
    CHECK(iou_disk.used_bytes >= inode->seen_bytes);
    iou_disk.used_bytes -= inode->seen_bytes;
    free(inode->seen);
    free(inode->platter);
    free(inode->pending);
    free(inode->names.list);
    free(inode->durable.list);
    free(inode->changes);
    free(inode);
    iou_disk.inodes[number] = NULL;
}

static void inode_mark(uint32_t number)
{
    struct iou_disk_inode *inode = iou_disk_inode(number);
    if (inode->marked) return;
    inode->marked = true;
    for (uint32_t i = 0; i < inode->names.count; i++)
        inode_mark(inode->names.list[i].inode);
    for (uint32_t i = 0; i < inode->durable.count; i++)
        inode_mark(inode->durable.list[i].inode);
    for (uint32_t i = 0; i < inode->change_count; i++)
        inode_mark(inode->changes[i].inode);
}

void iou_disk_sweep(void)
{
    inode_mark(IOU_DISK_ROOT);
    for (uint32_t i = 0; i < iou_disk.handle_count; i++)
        if (iou_disk.handles[i].inode) inode_mark(iou_disk.handles[i].inode);
    for (struct iou_disk_operation *o = iou_disk.operations; o; o = o->next)
        if (o->inode && !o->done) inode_mark(o->inode);

    for (uint32_t number = IOU_DISK_ROOT; number < iou_disk.inode_count; number++) {
        struct iou_disk_inode *inode = iou_disk.inodes[number];
        if (inode && !inode->marked) inode_free(number);
        if (inode && iou_disk.inodes[number]) inode->marked = false;
    }
}

int iou_disk_handle_open(uint32_t inode, bool writable, bool direct)
{
    uint32_t count = iou_disk.handle_count;
    CHECK(count < (uint32_t)IOU_SIM_FD_MIN); /* else run the simulation anew */
    if ((count & (count - 1)) == 0)
        iou_disk.handles =
            disk_resize(iou_disk.handles, (count ? 2 * count : 1) * sizeof *iou_disk.handles);
    iou_disk.handles[count] =
        (struct iou_disk_handle){.inode = inode, .writable = writable, .direct = direct};
    iou_disk.handle_count++;
    return IOU_SIM_FD_MIN + (int)count;
}

struct iou_disk_handle *iou_disk_handle(int fd)
{
    CHECK(fd >= IOU_SIM_FD_MIN);
    uint32_t index = (uint32_t)(fd - IOU_SIM_FD_MIN);
    CHECK(index < iou_disk.handle_count);
    struct iou_disk_handle *handle = &iou_disk.handles[index];
    if (handle->inode) return handle;
    CHECK(index < iou_disk.handle_count_crash); /* else it was closed and is used */
    return NULL;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void inode_make_room(struct iou_disk_inode *inode, uint64_t size_bytes)
{
    if (size_bytes <= inode->room_bytes) return;
    uint64_t room = inode->room_bytes ? inode->room_bytes : IOU_BLOCK_BYTES;
    while (room < size_bytes)
        room *= 2;
    inode->seen = disk_resize(inode->seen, room);
    inode->platter = disk_resize(inode->platter, room);
    inode->pending = disk_resize(inode->pending, room / SECTOR);
    memset(inode->seen + inode->room_bytes, 0, room - inode->room_bytes);
    memset(inode->platter + inode->room_bytes, 0, room - inode->room_bytes);
    memset(inode->pending + inode->room_bytes / SECTOR, 0, (room - inode->room_bytes) / SECTOR);
    inode->room_bytes = room;
}

static void inode_set_size(struct iou_disk_inode *inode, uint64_t size_bytes)
{
    iou_disk.used_bytes += size_bytes - inode->seen_bytes; /* wraps back when it is less */
    inode->seen_bytes = size_bytes;
}

/* The sectors of a range are about to change: where an older version still waits, it may have
 * reached the platter just now. */
static void inode_touch(struct iou_disk_inode *inode, uint64_t offset_bytes, uint64_t size_bytes)
{
    if (size_bytes == 0) return;
    uint64_t last = (offset_bytes + size_bytes - 1) / SECTOR;
    for (uint64_t sector = offset_bytes / SECTOR; sector <= last; sector++) {
        uint64_t at = sector * SECTOR;
        if (inode->pending[sector] && disk_below(2))
            memcpy(inode->platter + at, inode->seen + at, SECTOR);
        inode->pending[sector] = 1;
    }
}

static void inode_store(struct iou_disk_inode *inode, const void *from, uint64_t size_bytes,
                        uint64_t offset_bytes)
{
    uint64_t end = offset_bytes + size_bytes;
    if (size_bytes == 0) return;
    inode_make_room(inode, end);
    inode_touch(inode, offset_bytes, size_bytes);
    memcpy(inode->seen + offset_bytes, from, size_bytes);
    if (end > inode->seen_bytes) inode_set_size(inode, end);
}

/* What a short transfer moves: whole sectors if it is direct. */
static uint64_t disk_shorten(uint64_t size_bytes, bool direct)
{
    uint64_t unit = direct ? SECTOR : 1;
    if (size_bytes <= unit || !iou_disk_draw(iou_disk.faults.short_transfer)) return size_bytes;
    iou_disk.counts.shorts++;
    return unit * (1 + disk_below((size_bytes - 1) / unit));
}

static int disk_again(void)
{
    if (!iou_disk_draw(iou_disk.faults.again)) return 0;
    iou_disk.counts.agains++;
    return disk_below(2) ? -EINTR : -EAGAIN;
}

int64_t iou_disk_read(uint32_t number, void *into, uint64_t size_bytes, uint64_t offset_bytes,
                      bool direct)
{
    struct iou_disk_inode *inode = iou_disk_inode(number);
    int again = disk_again();

    iou_disk.counts.reads++;
    if (again < 0) return again;
    if (iou_disk_draw(iou_disk.faults.read_error)) {
        iou_disk.counts.read_errors++;
        return -EIO;
    }
    if (offset_bytes >= inode->seen_bytes) return 0;
    uint64_t rest = inode->seen_bytes - offset_bytes;
    uint64_t count = disk_shorten(size_bytes, direct);
    if (count > rest) count = rest;
    memcpy(into, inode->seen + offset_bytes, count);
    if (count > 0 && iou_disk_draw(iou_disk.faults.read_flip)) {
        iou_disk.counts.read_flips++;
        uint64_t at = disk_below(count);
        ((uint8_t *)into)[at] = (uint8_t)(((uint8_t *)into)[at] ^ (1u << disk_below(8)));
    }
    return (int64_t)count;
}

/* How much of a write the disk has space for. */
static uint64_t disk_fit(const struct iou_disk_inode *inode, uint64_t size_bytes,
                         uint64_t offset_bytes)
{
    uint64_t capacity = iou_disk.faults.capacity_bytes;
    uint64_t end = offset_bytes + size_bytes;
    if (capacity == 0 || end <= inode->seen_bytes) return size_bytes;
    uint64_t free_bytes = capacity > iou_disk.used_bytes ? capacity - iou_disk.used_bytes : 0;
    uint64_t end_max = inode->seen_bytes + free_bytes;
    if (end <= end_max) return size_bytes;
    return end_max > offset_bytes ? (end_max - offset_bytes) / SECTOR * SECTOR : 0;
}

int64_t iou_disk_write(uint32_t number, const void *from, uint64_t size_bytes,
                       uint64_t offset_bytes, bool direct)
{
    struct iou_disk_inode *inode = iou_disk_inode(number);
    int again = disk_again();

    iou_disk.counts.writes++;
    if (again < 0) return again;
    uint64_t fit = disk_fit(inode, size_bytes, offset_bytes);
    if (fit == 0) {
        iou_disk.counts.full++;
        return -ENOSPC;
    }
    if (iou_disk_draw(iou_disk.faults.write_error)) {
        iou_disk.counts.write_errors++;
        uint64_t unit = direct ? SECTOR : 1;
        inode_store(inode, from, unit * disk_below(fit / unit + 1), offset_bytes);
        return -EIO;
    }
    uint64_t count = disk_shorten(fit, direct);
    inode_store(inode, from, count, offset_bytes);
    return (int64_t)count;
}

int iou_disk_sync(uint32_t number)
{
    struct iou_disk_inode *inode = iou_disk_inode(number);
    int again = disk_again();

    iou_disk.counts.syncs++;
    if (again < 0) return again;
    uint64_t sectors = inode->room_bytes / SECTOR;
    if (iou_disk_draw(iou_disk.faults.sync_error)) {
        iou_disk.counts.sync_errors++;
        if (sectors > 0) memset(inode->pending, 0, sectors); /* nobody will write them again */
        return -EIO;
    }
    for (uint64_t sector = 0; sector < sectors; sector++)
        if (inode->pending[sector])
            memcpy(inode->platter + sector * SECTOR, inode->seen + sector * SECTOR, SECTOR);
    if (sectors > 0) memset(inode->pending, 0, sectors);
    inode->platter_bytes = inode->seen_bytes;
    return 0;
}

int iou_disk_resize(uint32_t number, uint64_t size_bytes)
{
    struct iou_disk_inode *inode = iou_disk_inode(number);
    uint64_t old = inode->seen_bytes;

    inode_make_room(inode, size_bytes);
    if (size_bytes < old) {
        inode_touch(inode, size_bytes, old - size_bytes);
        memset(inode->seen + size_bytes, 0, old - size_bytes);
    }
    inode_set_size(inode, size_bytes);
    return 0;
}

/* ---- Operations under way -------------------------------------------------------------------- */

static void operation_perform(struct iou_disk_operation *o)
{
    CHECK(!o->done);
    switch (o->kind) {
    case IOU_KIND_READ:
        o->result = iou_disk_read(o->inode, o->bytes, o->size_bytes, o->offset_bytes, o->direct);
        break;
    case IOU_KIND_WRITE:
        o->result = iou_disk_write(o->inode, o->bytes, o->size_bytes, o->offset_bytes, o->direct);
        break;
    case IOU_KIND_SYNC:
        o->result = iou_disk_sync(o->inode);
        break;
    }
    o->done = true;
}

void iou_disk_advance(void)
{
    uint64_t now = iou_disk_now();
    for (;;) {
        struct iou_disk_operation *first = NULL;
        for (struct iou_disk_operation *o = iou_disk.operations; o; o = o->next)
            if (!o->done && o->due_ns <= now && (!first || o->due_ns < first->due_ns)) first = o;
        if (!first) return;
        operation_perform(first);
    }
}

/* ---- The crash ------------------------------------------------------------------------------- */

static void crash_pending(struct iou_disk_inode *inode)
{
    for (uint64_t sector = 0; sector < inode->room_bytes / SECTOR; sector++) {
        if (!inode->pending[sector]) continue;
        if (disk_below(2)) {
            memcpy(inode->platter + sector * SECTOR, inode->seen + sector * SECTOR, SECTOR);
            iou_disk.counts.sectors_kept++;
        } else {
            iou_disk.counts.sectors_lost++;
        }
    }
}

/* A write that was under way: any of its sectors, and perhaps the size. */
static void crash_operation(struct iou_disk_operation *o)
{
    if (!o->done && o->kind == IOU_KIND_WRITE && o->inode) {
        struct iou_disk_inode *inode = iou_disk_inode(o->inode);
        inode_make_room(inode, o->offset_bytes + o->size_bytes);
        for (uint32_t at = 0; at < o->size_bytes;) {
            uint64_t offset = o->offset_bytes + at;
            uint32_t part = SECTOR - (uint32_t)(offset % SECTOR);
            if (part > o->size_bytes - at) part = o->size_bytes - at;
            if (disk_below(2)) {
                memcpy(inode->platter + offset, o->bytes + at, part);
                if (offset + part > inode->platter_bytes && disk_below(2))
                    inode->platter_bytes = offset + part;
            }
            at += part;
        }
    }
    o->done = true;
    o->inode = 0;
    o->result = -EIO;
}

/* The size after a crash: the old one, the new one, or between, sector by sector. */
static uint64_t crash_size(uint64_t old, uint64_t new)
{
    uint64_t low = old < new ? old : new, high = old < new ? new : old;
    switch (disk_below(3)) {
    case 0:
        return old;
    case 1:
        return new;
    default: {
        uint64_t size = (low + disk_below(high - low + 1)) / SECTOR * SECTOR;
        return size < low ? low : size;
    }
    }
}

static void crash_file(struct iou_disk_inode *inode)
{
    uint64_t room = inode->room_bytes;
    if (room == 0) return;
    inode->platter_bytes = crash_size(inode->platter_bytes, inode->seen_bytes);
    CHECK(inode->platter_bytes <= room);
    memset(inode->platter + inode->platter_bytes, 0, room - inode->platter_bytes);
    memcpy(inode->seen, inode->platter, room);
    memset(inode->pending, 0, room / SECTOR);
    inode_set_size(inode, inode->platter_bytes);
}

/* A journal keeps a beginning of the changes; a file system without one keeps any. */
static void crash_names(struct iou_disk_inode *inode)
{
    bool journal = disk_below(2);
    uint64_t kept = disk_below((uint64_t)inode->change_count + 1);
    for (uint32_t i = 0; i < inode->change_count; i++) {
        bool keep = journal ? i < kept : disk_below(2) != 0;
        if (keep && names_apply(&inode->durable, &inode->changes[i]))
            iou_disk.counts.changes_kept++;
        else
            iou_disk.counts.changes_lost++;
    }
    inode->change_count = 0;
    names_copy(&inode->names, &inode->durable);
}

void iou_sim_crash(void)
{
    iou_disk.counts.crashes++;
    for (uint32_t number = IOU_DISK_ROOT; number < iou_disk.inode_count; number++)
        if (iou_disk.inodes[number]) crash_pending(iou_disk.inodes[number]);
    for (struct iou_disk_operation *o = iou_disk.operations; o; o = o->next)
        crash_operation(o);
    for (uint32_t number = IOU_DISK_ROOT; number < iou_disk.inode_count; number++) {
        if (!iou_disk.inodes[number]) continue;
        crash_file(iou_disk.inodes[number]);
        crash_names(iou_disk.inodes[number]);
    }
    for (uint32_t i = 0; i < iou_disk.handle_count; i++)
        iou_disk.handles[i] = (struct iou_disk_handle){0};
    iou_disk.handle_count_crash = iou_disk.handle_count;
    iou_disk_sweep();
}

/* ---- For those who run the simulation -------------------------------------------------------- */

void iou_sim_close(void)
{
    for (uint32_t number = IOU_DISK_ROOT; number < iou_disk.inode_count; number++)
        if (iou_disk.inodes[number]) inode_free(number);
    while (iou_disk.operations) {
        struct iou_disk_operation *o = iou_disk.operations;
        iou_disk.operations = o->next;
        free(o->bytes);
        free(o);
    }
    free(iou_disk.inodes);
    free(iou_disk.handles);
    memset(&iou_disk, 0, sizeof iou_disk);
}

void iou_sim_open(uint64_t seed)
{
    iou_sim_close();
    shm_random_seed(&iou_disk.chance, seed);
    CHECK(iou_disk_inode_make(true) == IOU_DISK_ROOT);
}

void iou_sim_set_faults(const struct iou_sim_faults *faults)
{
    iou_disk.faults = *faults;
}

struct iou_sim_counts iou_sim_counts(void)
{
    return iou_disk.counts;
}

uint64_t iou_sim_used_bytes(void)
{
    return iou_disk.used_bytes;
}

void iou_sim_unlock(void)
{
    for (uint32_t i = 0; i < iou_disk.handle_count; i++)
        iou_disk.handles[i].locked = false;
}

bool iou_sim_flip(const char *path, uint64_t offset_bytes, unsigned bit)
{
    char *names = strdup(path), *rest = NULL;
    CHECK(names != NULL);
    uint32_t number = IOU_DISK_ROOT;
    for (char *name = strtok_r(names, "/", &rest); name && number;
         name = strtok_r(NULL, "/", &rest))
        number = iou_disk_find(number, name);
    free(names);

    struct iou_disk_inode *inode = number ? iou_disk_inode(number) : NULL;
    if (!inode || inode->directory || offset_bytes >= inode->seen_bytes) return false;
    uint8_t mask = (uint8_t)(1u << bit % 8);
    inode->seen[offset_bytes] = (uint8_t)(inode->seen[offset_bytes] ^ mask);
    inode->platter[offset_bytes] = (uint8_t)(inode->platter[offset_bytes] ^ mask);
    return true;
}

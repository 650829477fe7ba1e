/* iouring/disk_sim: the simulated disk is as hostile as it says, and no more. And with it: requests
 * of iouring/iou.c under faults, and iou_publish() under crashes, against models.
 *
 * The model of a file's sector: the version that was synced last, and those written since. After a
 * crash it must hold one of them, whole. That each kind of loss happens is counted, and protocols
 * with one step left out must be caught: a disk that loses nothing would test nothing. */
#include "iouring/disk_sim.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iouring/buffer.h"
#include "iouring/file.h"
#include "iouring/iou.h"
#include "shm/check.h"
#include "shm/clock.h"
#include "shm/random.h"
#include "shm/sim.h"
#include "shm/spawn.h"

enum { SECTOR = IOU_SIM_SECTOR_BYTES };

/* ---- A perfect disk -------------------------------------------------------------------------- */

static void a_perfect_disk_does_what_is_asked(void)
{
    void *bytes = NULL;
    uint64_t size_bytes = 0;
    iou_sim_open(1);
    int directory = iou_directory_make("/a/b");
    CU_ASSERT_TRUE_FATAL(directory >= 0);
    CU_ASSERT_EQUAL(iou_publish(directory, "f", "hello", 5), 0);
    CU_ASSERT_EQUAL_FATAL(iou_load(directory, "f", 5, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(size_bytes, 5);
    CU_ASSERT_EQUAL(memcmp(bytes, "hello", 5), 0);
    free(bytes);
    CU_ASSERT_EQUAL(iou_file_open(directory, "f", IOU_CREATE), -EEXIST);
    CU_ASSERT_EQUAL(iou_file_open(directory, "g", IOU_READ), -ENOENT);
    CU_ASSERT_EQUAL(iou_directory_open("/a/c"), -ENOENT);
    CU_ASSERT_EQUAL(iou_directory_open("/a/b/f"), -ENOTDIR);

    int lock = iou_directory_lock(directory, "lock");
    CU_ASSERT_TRUE(lock >= 0);
    CU_ASSERT_EQUAL(iou_directory_lock(directory, "lock"), -EWOULDBLOCK);
    iou_sim_unlock();
    int second = iou_directory_lock(directory, "lock");
    CU_ASSERT_TRUE(second >= 0);
    iou_file_close(second);
    iou_file_close(lock);

    CU_ASSERT_TRUE(iou_sim_flip("/a/b/f", 1, 0));
    CU_ASSERT_FALSE(iou_sim_flip("/a/b/f", 5, 0));
    CU_ASSERT_FALSE(iou_sim_flip("/a/x", 0, 0));
    CU_ASSERT_EQUAL_FATAL(iou_load(directory, "f", 5, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(memcmp(bytes, "hdllo", 5), 0);
    free(bytes);
    CU_ASSERT_EQUAL(iou_directory_remove(directory, "f"), 0);
    CU_ASSERT_EQUAL(iou_directory_remove(directory, "lock"), 0);
    CU_ASSERT_EQUAL(iou_directory_sync(directory), 0);
    CU_ASSERT_EQUAL(iou_sim_used_bytes(), 0);
    iou_file_close(directory);
    iou_sim_close();
}

static void what_is_synced_survives_and_nothing_else_must(void)
{
    unsigned lost_names = 0, lost_bytes = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        char byte = 0;
        iou_sim_open(seed);
        int directory = iou_directory_make("/d");
        int kept = iou_file_open(directory, "kept", IOU_CREATE);
        CHECK(iou_file_write(kept, "k", 1, 0) == 0);
        CHECK(iou_file_sync(kept) == 0);
        CHECK(iou_directory_sync(directory) == 0);
        CHECK(iou_file_write(kept, "x", 1, 0) == 0);
        iou_file_close(iou_file_open(directory, "unsynced", IOU_CREATE));
        iou_sim_crash();

        CU_ASSERT_EQUAL(iou_file_size(kept), -EBADF); /* descriptors do not survive */
        iou_file_close(kept);
        directory = iou_directory_open("/d");
        CU_ASSERT_TRUE_FATAL(directory >= 0);
        kept = iou_file_open(directory, "kept", IOU_READ);
        CU_ASSERT_TRUE_FATAL(kept >= 0);
        CU_ASSERT_EQUAL(iou_file_size(kept), 1);
        CU_ASSERT_EQUAL(iou_file_read(kept, &byte, 1, 0), 0);
        CU_ASSERT_TRUE(byte == 'k' || byte == 'x');
        lost_bytes += byte == 'k';
        int unsynced = iou_file_open(directory, "unsynced", IOU_READ);
        CU_ASSERT_TRUE(unsynced >= 0 || unsynced == -ENOENT);
        lost_names += unsynced < 0;
    }
    iou_sim_close();
    CU_ASSERT_TRUE(lost_bytes > 50 && lost_bytes < 150);
    CU_ASSERT_TRUE(lost_names > 50 && lost_names < 150);
}

/* ---- Files under faults, against a model ------------------------------------------------------
 */

enum { FILE_SECTORS = 64, VERSIONS_MAX = 64 };

struct model {
    uint64_t seen[FILE_SECTORS]; /* the version of each sector; 0 is never written */
    uint64_t allowed[FILE_SECTORS][VERSIONS_MAX]; /* what a crash may leave */
    unsigned allowed_count[FILE_SECTORS];
    uint64_t synced_sectors; /* the size that cannot be lost */
    uint64_t sectors;        /* the size that was written */
};

static void sector_fill(uint8_t *bytes, uint64_t version)
{
    for (unsigned i = 0; i < SECTOR; i += sizeof version)
        memcpy(bytes + i, &version, sizeof version);
}

/* The version, or UINT64_MAX when it is torn. */
static uint64_t sector_version(const uint8_t *bytes)
{
    uint64_t version, other;
    memcpy(&version, bytes, sizeof version);
    for (unsigned i = 0; i < SECTOR; i += sizeof version) {
        memcpy(&other, bytes + i, sizeof other);
        if (other != version) return UINT64_MAX;
    }
    return version;
}

static void model_allow(struct model *model, uint64_t sector, uint64_t version)
{
    CHECK(model->allowed_count[sector] < VERSIONS_MAX);
    model->allowed[sector][model->allowed_count[sector]++] = version;
}

static void model_synced(struct model *model)
{
    for (uint64_t sector = 0; sector < FILE_SECTORS; sector++) {
        model->allowed_count[sector] = 0;
        model_allow(model, sector, model->seen[sector]);
    }
    model->synced_sectors = model->sectors;
}

static bool model_allows(const struct model *model, uint64_t sector, uint64_t version)
{
    for (unsigned i = 0; i < model->allowed_count[sector]; i++)
        if (model->allowed[sector][i] == version) return true;
    return false;
}

struct ending {
    struct iou_request request; /* first */
    int64_t result;
};

static void ending_done(struct iou_request *request, int64_t result)
{
    ((struct ending *)request)->result = result;
}

static int64_t ending_wait(struct iou *io, struct ending *ending)
{
    while (iou_wait(io) > 0) {
    }
    return ending->result;
}

struct file_run {
    struct model model;
    struct shm_random_stream chance;
    uint64_t version;
    bool good;      /* false: the file was lost to an error, and its owner stopped */
    bool under_way; /* the power failed during a write */
};

/* Writes, syncs, reads for a while, then crashes, perhaps with a write under way. */
static void file_main(void *arg)
{
    struct file_run *run = arg;
    struct model *model = &run->model;
    struct shm_random_stream *chance = &run->chance;
    enum { SIZE = FILE_SECTORS * SECTOR, STEPS = 40 };
    run->good = true;
    uint8_t *bytes = iou_buffer_open(SIZE);
    struct iou *io = NULL;
    struct ending ending; /* outlives the loop: the last may be under way when it ends */
    int directory = iou_directory_make("/d");
    int fd = iou_file_open(directory, "f", IOU_CREATE_DIRECT);
    CHECK(fd >= 0);
    CHECK(iou_directory_sync(directory) == 0);
    CHECK(iou_open(&io, 4) == 0);
    model_synced(model);

    for (unsigned step = 0; step < STEPS && run->good; step++) {
        uint64_t first = shm_random_below(chance, FILE_SECTORS / 8) * 8;
        uint64_t count = 8 * (1 + shm_random_below(chance, (FILE_SECTORS - first) / 8));
        ending = (struct ending){.request = {.fd = fd,
                                             .size_bytes = (uint32_t)(count * SECTOR),
                                             .offset_bytes = first * SECTOR,
                                             .into = bytes,
                                             .done = ending_done}};
        switch (shm_random_below(chance, 4)) {
        case 0:
            iou_sync(io, &ending.request);
            run->good = ending_wait(io, &ending) == 0;
            if (run->good) model_synced(model);
            break;
        case 1: {
            iou_read(io, &ending.request);
            int64_t read = ending_wait(io, &ending);
            if (read < 0) break;
            uint64_t rest = model->sectors > first ? model->sectors - first : 0;
            CHECK((uint64_t)read == (rest < count ? rest : count) * SECTOR);
            for (uint64_t i = 0; i < (uint64_t)read / SECTOR; i++)
                CHECK(sector_version(bytes + i * SECTOR) == model->seen[first + i]);
            break;
        }
        default:
            for (uint64_t i = 0; i < count; i++) {
                sector_fill(bytes + i * SECTOR, ++run->version);
                model_allow(model, first + i, run->version);
                model->seen[first + i] = run->version;
            }
            if (first + count > model->sectors) model->sectors = first + count;
            iou_write(io, &ending.request);
            if (step == STEPS - 1 && iou_step(io, 1) == 0) {
                run->under_way = true;
                break;
            }
            run->good = ending_wait(io, &ending) == (int64_t)(count * SECTOR);
            break;
        }
    }
    iou_sim_crash();
    while (iou_wait(io) > 0) {
    }
    iou_close(io);
    iou_buffer_close(bytes, SIZE);
}

static void file_verify(const struct model *model)
{
    uint8_t bytes[SECTOR];
    int directory = iou_directory_open("/d");
    int fd = iou_file_open(directory, "f", IOU_READ);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    uint64_t size = (uint64_t)iou_file_size(fd);
    CU_ASSERT_EQUAL(size % SECTOR, 0);
    CU_ASSERT_TRUE(size / SECTOR >= model->synced_sectors);
    CU_ASSERT_TRUE(size / SECTOR <= model->sectors);
    for (uint64_t sector = 0; sector < size / SECTOR; sector++) {
        CU_ASSERT_EQUAL(iou_file_read(fd, bytes, SECTOR, sector * SECTOR), 0);
        CU_ASSERT_TRUE(model_allows(model, sector, sector_version(bytes)));
    }
    iou_file_close(fd);
    iou_file_close(directory);
}

static void a_crash_leaves_versions_since_the_last_sync(void)
{
    static struct file_run run;
    struct iou_sim_counts sum = {0};
    unsigned good = 0, under_way = 0;
    const struct iou_sim_faults none = {0};
    const struct iou_sim_faults faults = {.delay_ns_max = 100000,
                                          .short_transfer = 2000,
                                          .again = 1000,
                                          .read_error = 300,
                                          .write_error = 50,
                                          .sync_error = 200};

    for (uint64_t seed = 1; seed <= 500; seed++) {
        memset(&run, 0, sizeof run);
        shm_random_seed(&run.chance, seed);
        iou_sim_open(seed);
        iou_sim_set_faults(&faults);
        if (seed % 2)
            shm_sim_run(seed, file_main, &run);
        else
            file_main(&run); /* all at once, in any order */
        good += run.good;
        under_way += run.under_way;
        struct iou_sim_counts counts = iou_sim_counts();
        sum.shorts += counts.shorts;
        sum.agains += counts.agains;
        sum.read_errors += counts.read_errors;
        sum.write_errors += counts.write_errors;
        sum.sync_errors += counts.sync_errors;
        sum.sectors_kept += counts.sectors_kept;
        sum.sectors_lost += counts.sectors_lost;
        iou_sim_set_faults(&none);
        file_verify(&run.model);
        if (CU_get_number_of_failure_records() > 0) {
            printf("seed %llu ", (unsigned long long)seed);
            break;
        }
    }
    iou_sim_close();
    CU_ASSERT_TRUE(good > 50);
    CU_ASSERT_TRUE(under_way > 10);
    CU_ASSERT_TRUE(sum.shorts > 100);
    CU_ASSERT_TRUE(sum.agains > 100);
    CU_ASSERT_TRUE(sum.read_errors > 10);
    CU_ASSERT_TRUE(sum.write_errors > 10);
    CU_ASSERT_TRUE(sum.sync_errors > 10);
    CU_ASSERT_TRUE(sum.sectors_kept > 1000);
    CU_ASSERT_TRUE(sum.sectors_lost > 1000);
}

static void retries_are_bounded(void)
{
    struct iou *io = NULL;
    const struct iou_sim_faults faults = {.again = 10000};
    uint8_t bytes[100] = {0};
    iou_sim_open(1);
    int directory = iou_directory_make("/d");
    int fd = iou_file_open(directory, "f", IOU_CREATE);
    iou_sim_set_faults(&faults);
    CU_ASSERT_EQUAL_FATAL(iou_open(&io, 4), 0);
    struct ending ending = {
        .request = {.fd = fd, .size_bytes = 100, .from = bytes, .done = ending_done}};
    iou_write(io, &ending.request);
    int64_t result = ending_wait(io, &ending);
    CU_ASSERT_TRUE(result == -EAGAIN || result == -EINTR);
    CU_ASSERT_EQUAL(iou_sim_counts().writes, IOU_ATTEMPTS_MAX);
    iou_close(io);
    iou_sim_close();
}

static void a_failed_sync_loses_what_it_was_to_keep(void)
{
    char byte = 0;
    const struct iou_sim_faults failing = {.sync_error = 10000}, none = {0};
    iou_sim_open(1);
    int directory = iou_directory_make("/d");
    int fd = iou_file_open(directory, "f", IOU_CREATE);
    CU_ASSERT_EQUAL(iou_directory_sync(directory), 0);
    CU_ASSERT_EQUAL(iou_file_write(fd, "a", 1, 0), 0);
    CU_ASSERT_EQUAL(iou_file_sync(fd), 0);
    CU_ASSERT_EQUAL(iou_file_write(fd, "b", 1, 0), 0);
    iou_sim_set_faults(&failing);
    CU_ASSERT_EQUAL(iou_file_sync(fd), -EIO);
    iou_sim_set_faults(&none);
    CU_ASSERT_EQUAL(iou_file_sync(fd), 0); /* says yes, and has nothing left to write */
    iou_sim_crash();
    directory = iou_directory_open("/d");
    fd = iou_file_open(directory, "f", IOU_READ);
    CU_ASSERT_EQUAL(iou_file_read(fd, &byte, 1, 0), 0);
    CU_ASSERT_EQUAL(byte, 'a');
    iou_sim_close();
}

static void a_full_disk_refuses_and_recovers(void)
{
    static char large[8192];
    const struct iou_sim_faults small = {.capacity_bytes = 4096};
    iou_sim_open(1);
    iou_sim_set_faults(&small);
    int directory = iou_directory_make("/d");
    CU_ASSERT_EQUAL(iou_publish(directory, "f", "old", 3), 0);
    CU_ASSERT_EQUAL(iou_publish(directory, "f", large, sizeof large), -ENOSPC);
    void *bytes = NULL;
    uint64_t size_bytes = 0;
    CU_ASSERT_EQUAL_FATAL(iou_load(directory, "f", 3, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(memcmp(bytes, "old", 3), 0);
    free(bytes);
    CU_ASSERT_EQUAL(iou_directory_sync(directory), 0); /* the failed one is gone, so is its space */
    CU_ASSERT_EQUAL(iou_directory_free_bytes(directory), 4096 - 3);
    CU_ASSERT_EQUAL(iou_publish(directory, "f", large, 4000), 0);
    iou_sim_close();
}

/* ---- Publishing under crashes ------------------------------------------------------------------
 */

/* Version n of the published file: n, repeated in a size that depends on n. */
enum { PUBLISH_WORDS_MAX = 1000 };

static uint32_t publish_words(uint64_t version)
{
    return 1 + (uint32_t)(version * 37 % PUBLISH_WORDS_MAX);
}

enum leave_out { NOTHING, FILE_SYNC, DIRECTORY_SYNC, TEMPORARY };

struct publisher {
    enum leave_out leave_out;
    uint64_t first;
    uint64_t begun, acknowledged; /* versions */
};

/* iou_publish(), with one step left out. */
static int publish_mutant(int directory, const void *bytes, uint64_t size_bytes, enum leave_out out)
{
    const char *name = out == TEMPORARY ? "f" : "t";
    (void)iou_directory_remove(directory, name);
    int fd = iou_file_open(directory, name, IOU_CREATE);
    if (fd < 0) return fd;
    int result = iou_file_write(fd, bytes, size_bytes, 0);
    if (result == 0 && out != FILE_SYNC) result = iou_file_sync(fd);
    iou_file_close(fd);
    if (result == 0 && out != TEMPORARY) result = iou_directory_rename(directory, name, "f");
    if (result == 0 && out != DIRECTORY_SYNC) result = iou_directory_sync(directory);
    return result;
}

static void publisher_main(void *arg)
{
    struct publisher *publisher = arg;
    int directory = iou_directory_open("/d");
    CHECK(directory >= 0);
    for (uint64_t version = publisher->first;; version++) {
        uint64_t words[PUBLISH_WORDS_MAX];
        uint32_t count = publish_words(version);
        for (uint32_t i = 0; i < count; i++)
            words[i] = version;
        publisher->begun = version;
        int result =
            publisher->leave_out == NOTHING
                ? iou_publish(directory, "f", words, count * sizeof words[0])
                : publish_mutant(directory, words, count * sizeof words[0], publisher->leave_out);
        if (result == 0) publisher->acknowledged = version;
    }
}

/* The version on the disk; 0: none; UINT64_MAX: torn. */
static uint64_t publish_found(void)
{
    void *bytes = NULL;
    uint64_t size_bytes = 0;
    int directory = iou_directory_open("/d");
    int result = iou_load(directory, "f", PUBLISH_WORDS_MAX * 8, &bytes, &size_bytes);
    iou_file_close(directory);
    if (result < 0) return 0;
    const uint64_t *words = bytes;
    uint64_t version = size_bytes >= 8 ? words[0] : UINT64_MAX;
    if (version != UINT64_MAX && size_bytes != publish_words(version) * 8ul) version = UINT64_MAX;
    for (uint64_t i = 0; version != UINT64_MAX && i < size_bytes / 8; i++)
        if (words[i] != version) version = UINT64_MAX;
    free(bytes);
    return version;
}

struct publish_run {
    uint64_t seed;
    enum leave_out leave_out;
    bool broken;
    uint64_t acknowledged, unacknowledged_found;
    struct iou_sim_counts counts;
};

/* Runs a publisher, pulls the plug, looks what is there; five times over. */
static void publish_main(void *arg)
{
    struct publish_run *run = arg;
    const struct iou_sim_faults none = {.delay_ns_max = 100000};
    const struct iou_sim_faults faults = {.delay_ns_max = 100000,
                                          .short_transfer = 1000,
                                          .again = 500,
                                          .write_error = 100,
                                          .sync_error = 100,
                                          .name_error = 100};
    struct publisher publisher = {.leave_out = run->leave_out, .first = 1};

    iou_sim_open(run->seed);
    iou_file_close(iou_directory_make("/d"));
    for (unsigned crash = 0; crash < 5 && !run->broken; crash++) {
        struct shm_process process;
        struct shm_ending ending;
        iou_sim_set_faults(run->leave_out == NOTHING ? &faults : &none);
        CHECK(shm_spawn(&process, publisher_main, &publisher) == 0);
        shm_clock_sleep_until(shm_clock_ns() + 1 + shm_sim_random() % 2000000);
        shm_process_kill(&process, 9);
        CHECK(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
        iou_sim_crash();
        iou_sim_set_faults(&none);

        uint64_t found = publish_found();
        run->broken = found < publisher.acknowledged || found > publisher.begun;
        run->acknowledged += publisher.acknowledged;
        run->unacknowledged_found += found > publisher.acknowledged;
        /* What was found is what counts from now on, and it will not be found to be older. */
        publisher.acknowledged = found;
        publisher.first = publisher.begun + 1;
    }
    run->counts = iou_sim_counts();
}

static unsigned publish_broken(enum leave_out leave_out, uint64_t seeds, struct publish_run *sum)
{
    unsigned broken = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct publish_run run = {.seed = seed, .leave_out = leave_out};
        shm_sim_run(seed, publish_main, &run);
        if (run.broken && leave_out == NOTHING) printf("seed %llu ", (unsigned long long)seed);
        broken += run.broken;
        sum->acknowledged += run.acknowledged;
        sum->unacknowledged_found += run.unacknowledged_found;
        sum->counts.changes_lost += run.counts.changes_lost;
        sum->counts.changes_kept += run.counts.changes_kept;
        sum->counts.sync_errors += run.counts.sync_errors;
    }
    iou_sim_close();
    return broken;
}

static void a_published_file_survives_every_crash(void)
{
    struct publish_run sum = {0};
    CU_ASSERT_EQUAL(publish_broken(NOTHING, 400, &sum), 0);
    CU_ASSERT_TRUE(sum.acknowledged > 1000);
    CU_ASSERT_TRUE(sum.unacknowledged_found > 50);
    CU_ASSERT_TRUE(sum.counts.changes_lost > 100);
    CU_ASSERT_TRUE(sum.counts.changes_kept > 100);
    CU_ASSERT_TRUE(sum.counts.sync_errors > 50);
}

static void a_publishing_with_a_step_left_out_is_caught(void)
{
    struct publish_run sum = {0};
    CU_ASSERT_TRUE(publish_broken(FILE_SYNC, 50, &sum) > 10);
    CU_ASSERT_TRUE(publish_broken(DIRECTORY_SYNC, 50, &sum) > 10);
    CU_ASSERT_TRUE(publish_broken(TEMPORARY, 50, &sum) > 10);
}

/* Requests of several processes, with delays: they overtake each other, and time passes meanwhile.
 */
static void overtaking_main(void *arg)
{
    enum { COUNT = 64 };
    struct ending endings[COUNT];
    struct iou *io = NULL;
    unsigned overtaken = 0;
    const struct iou_sim_faults faults = {.delay_ns_max = 1000000};

    iou_sim_open(*(uint64_t *)arg);
    iou_sim_set_faults(&faults);
    int directory = iou_directory_make("/d");
    int fd = iou_file_open(directory, "f", IOU_CREATE);
    CHECK(iou_open(&io, 16) == 0);
    uint64_t began = shm_clock_ns();
    for (unsigned i = 0; i < COUNT; i++) {
        endings[i] = (struct ending){.request = {.fd = fd,
                                                 .size_bytes = 5,
                                                 .offset_bytes = 5 * i,
                                                 .from = "12345",
                                                 .done = ending_done}};
        iou_write(io, &endings[i].request);
    }
    while (iou_wait(io) > 0)
        for (unsigned i = 1; i < COUNT; i++)
            overtaken += endings[i].result == 5 && endings[i - 1].result == 0;
    CHECK(overtaken > 0);
    CHECK(shm_clock_ns() > began + 100000);
    CHECK(iou_file_size(fd) == 5 * COUNT);
    iou_close(io);
}

static void requests_overtake_each_other(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        shm_sim_run(seed, overtaking_main, &seed);
    iou_sim_close();
    CU_PASS("no CHECK failed");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("iouring/disk_sim", NULL, NULL);
    CU_ADD_TEST(suite, a_perfect_disk_does_what_is_asked);
    CU_ADD_TEST(suite, what_is_synced_survives_and_nothing_else_must);
    CU_ADD_TEST(suite, a_crash_leaves_versions_since_the_last_sync);
    CU_ADD_TEST(suite, retries_are_bounded);
    CU_ADD_TEST(suite, a_failed_sync_loses_what_it_was_to_keep);
    CU_ADD_TEST(suite, a_full_disk_refuses_and_recovers);
    CU_ADD_TEST(suite, a_published_file_survives_every_crash);
    CU_ADD_TEST(suite, a_publishing_with_a_step_left_out_is_caught);
    CU_ADD_TEST(suite, requests_overtake_each_other);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}

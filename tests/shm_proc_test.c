/* shm/proc: texts of the kernel are read whole or not at all. */
#include "shm/proc.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/spawn.h"

static void this_process_is_told_of(void)
{
    char text[4096], wanted[64];

    CU_ASSERT_TRUE(shm_proc_read(getpid(), "status", text, sizeof text));
    snprintf(wanted, sizeof wanted, "\nPid:\t%d\n", (int)getpid());
    CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nVmHWM:"));
}

static void the_machine_is_told_of(void)
{
    char text[4096];

    CU_ASSERT_TRUE(shm_proc_read(0, "meminfo", text, sizeof text));
    CU_ASSERT_PTR_EQUAL(strstr(text, "MemTotal:"), text);
}

static void a_text_is_cut_where_the_room_ends(void)
{
    char text[16];

    memset(text, 'x', sizeof text);
    CU_ASSERT_TRUE(shm_proc_read(0, "meminfo", text, 9));
    CU_ASSERT_STRING_EQUAL(text, "MemTotal");
    CU_ASSERT_EQUAL(text[9], 'x');
    CU_ASSERT_FALSE(shm_proc_read(0, "meminfo", text, 1)); /* room for nothing */
    CU_ASSERT_STRING_EQUAL(text, "");
}

static void of_who_is_gone_there_is_nothing(void)
{
    char text[64] = "before";
    pid_t child = fork();

    if (child == 0) _exit(0);
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    CU_ASSERT_FALSE(shm_proc_read(child, "stat", text, sizeof text));
    CU_ASSERT_STRING_EQUAL(text, "");
    CU_ASSERT_EQUAL(shm_process_start_ticks(child), 0);
    CU_ASSERT_EQUAL(shm_process_start_ticks(0), 0); /* and not what /proc/stat says */
    CU_ASSERT_NOT_EQUAL(shm_process_start_ticks(getpid()), 0);
    CU_ASSERT_FALSE(shm_proc_read(getpid(), "no such thing", text, sizeof text));
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("shm/proc", NULL, NULL);
    CU_ADD_TEST(suite, this_process_is_told_of);
    CU_ADD_TEST(suite, the_machine_is_told_of);
    CU_ADD_TEST(suite, a_text_is_cut_where_the_room_ends);
    CU_ADD_TEST(suite, of_who_is_gone_there_is_nothing);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}

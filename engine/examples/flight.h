/* flight.h: the flight records that several examples share: one struct, one schema. */
#ifndef EXAMPLES_FLIGHT_H
#define EXAMPLES_FLIGHT_H

#include <penstock.h>

/* One departure from New York. A cancelled flight has no delay; some have no tail number. */
struct flight {
    pen_time scheduled_at;
    pen_code carrier;
    int32_t flight;
    pen_opt_code tailnum;
    pen_code origin;
    pen_code dest;
    pen_opt_int32 dep_delay_min;
    pen_opt_int32 arr_delay_min;
    pen_opt_int32 air_time_min;
    int32_t distance_mi;
};
PEN_RECORD(flight, scheduled_at, carrier, flight, tailnum, origin, dest, dep_delay_min,
           arr_delay_min, air_time_min, distance_mi);

#endif

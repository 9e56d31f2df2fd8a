/** One worker process of the node proxy; started by the supervisor only, with their socket pair as descriptor 3. */
throw new Error('being written');

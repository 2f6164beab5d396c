from small_federation import one_thread, small, small_data

__all__ = ["one_thread", "small", "small_data"]  # fixtures

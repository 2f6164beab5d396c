macro(ctkMacroCompilePythonScript)
  cmake_parse_arguments(STUB "NO_INSTALL_SUBDIR" "TARGET_NAME;SOURCE_DIR;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  if(NOT STUB_SOURCE_DIR)
    set(STUB_SOURCE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  add_custom_target(Stub${STUB_TARGET_NAME})
  foreach(file ${STUB_SCRIPTS} ${STUB_RESOURCES})
    # As in CTK: a file outside the source folder is not installed, and nothing reports it.
    if(NOT file MATCHES "\\.\\.")
      get_filename_component(folder ${file} DIRECTORY)
      install(FILES ${STUB_SOURCE_DIR}/${file} DESTINATION ${STUB_INSTALL_DIR}/${folder})
    endif()
  endforeach()
endmacro()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MODULE_NAME}
    SCRIPTS ${MODULE_SCRIPTS}
    RESOURCES ${MODULE_RESOURCES}
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    NO_INSTALL_SUBDIR
    )
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(UNITTEST "" "SCRIPT" "" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${UNITTEST_SCRIPT})
    message(FATAL_ERROR "There is no test ${UNITTEST_SCRIPT}")
  endif()
endmacro()
